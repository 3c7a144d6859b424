
"use strict";
(() => {
  const body = document.body;
  const says = document.getElementById("says");
  const idle = says ? says.textContent : "";
  const byKey = new Map();
  for (const element of document.querySelectorAll("[data-key]")) {
    for (const key of element.getAttribute("data-key").split(" ")) {
      if (!byKey.has(key)) byKey.set(key, []);
      byKey.get(key).push(element);
    }
  }
  let lit = [];
  let pinned = null;

  const show = (source) => {
    for (const element of lit) element.classList.remove("lit");
    lit = [];
    if (source) {
      for (const key of source.getAttribute("data-lights").split(" ")) {
        for (const element of byKey.get(key) || []) {
          // an edge lights up only where both of its ends do
          if (!element.classList.contains("edge")) lit.push(element);
        }
      }
      const nodes = new Set(lit.flatMap((e) => (e.classList.contains("node") ? [e.getAttribute("data-key")] : [])));
      for (const edge of document.querySelectorAll(".edge")) {
        if (edge.getAttribute("data-key").split(" ").every((key) => nodes.has(key))) lit.push(edge);
      }
      for (const element of lit) element.classList.add("lit");
    }
    // the boxes that were shown give way only to other boxes
    body.classList.toggle("lighting", lit.some((element) => element.classList.contains("boxes")));
    if (says) says.textContent = source ? source.getAttribute("data-says") || idle : idle;
  };
  const pin = (source) => {
    if (pinned) pinned.removeAttribute("aria-pressed");
    pinned = source && source !== pinned ? source : null;
    if (pinned) pinned.setAttribute("aria-pressed", "true");
    show(pinned);
  };
  const from = (event) => (event.target instanceof Element ? event.target.closest("[data-lights]") : null);

  document.addEventListener("pointerover", (event) => {
    if (event.pointerType === "touch") return; // a tap is a click
    const source = from(event);
    if (source) show(source);
  });
  document.addEventListener("pointerout", (event) => {
    if (event.pointerType !== "touch" && from(event)) show(pinned);
  });
  document.addEventListener("focusin", (event) => {
    const source = from(event);
    if (source && source.matches(":focus-visible")) show(source);
  });
  document.addEventListener("focusout", () => show(pinned));
  document.addEventListener("click", (event) => {
    const source = from(event);
    if (source) pin(source);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") pin(null);
    const source = from(event);
    if (source && source.tagName !== "BUTTON" && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      pin(source);
    }
  });

  const all = document.getElementById("all");
  if (all) {
    all.addEventListener("click", () => {
      const on = body.classList.toggle("all");
      all.setAttribute("aria-pressed", String(on));
      all.textContent = on ? "Show the last boxes" : "Show all boxes";
    });
  }
  const save = document.getElementById("save");
  const events = document.getElementById("events");
  if (save && events) {
    save.hidden = false;
    save.addEventListener("click", () => {
      const link = document.createElement("a");
      const address = URL.createObjectURL(new Blob([events.textContent], { type: "application/json" }));
      link.href = address;
      link.download = JSON.parse(events.textContent).trace + ".json";
      link.click();
      setTimeout(() => URL.revokeObjectURL(address), 1000);
    });
  }
})();
