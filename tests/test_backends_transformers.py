"""SAM and the transformers adapters on tiny checkpoints that the official classes write and the official loaders read."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline import Image, Mask, Models
from sightline.errors import ModelFileError, ToolError
from sightline.tools.roles import Prompt

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


def picture(seed: int = 0, height: int = 48, width: int = 64) -> Image:
    return Image.from_array(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def filled(role: str, backend: str, weights: Path, **options: Any) -> Any:
    spec = {"backend": backend, "weights": str(weights), "options": options}
    return Models.from_pack(overrides={role: spec}).get(role, "OP")


# --- SAM -------------------------------------------------------------------------------------------------------------


def _tiny_sam(checkpoint: Any = None) -> Any:
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

    return Sam(
        image_encoder=ImageEncoderViT(
            img_size=64, patch_size=16, embed_dim=16, depth=1, num_heads=2, out_chans=16, use_rel_pos=True,
            global_attn_indexes=(0,), window_size=2, norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=16, image_embedding_size=(4, 4), input_image_size=(64, 64), mask_in_chans=4
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3, transformer_dim=16, iou_head_depth=2, iou_head_hidden_dim=16,
            transformer=TwoWayTransformer(depth=1, embedding_dim=16, mlp_dim=16, num_heads=2),
        ),
    ).eval()  # fmt: skip


@pytest.fixture(scope="module")
def sam_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("segment_anything")
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("sam") / "tiny.pth"
    torch.save(_tiny_sam().state_dict(), path)
    return path


@pytest.fixture
def sam(sam_file: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    from segment_anything import sam_model_registry

    monkeypatch.setitem(sam_model_registry, "tiny", _tiny_sam)
    return filled("segmenter", "segment-anything", sam_file, model="tiny", embeddings=2)


def test_sam_takes_points_boxes_and_masks(sam: Any) -> None:
    image = picture()
    rough = Mask.from_array(np.pad(np.ones((10, 10), bool), 8))
    prompts = [
        Prompt(points=((20.0, 20.0, True),)),
        Prompt(points=((20.0, 20.0, True), (50.0, 40.0, False))),
        Prompt(box=(10.0, 10.0, 40.0, 30.0)),
        Prompt(mask=rough),
    ]
    found = sam.segment([image] * 4, prompts)
    assert 1 <= len(found[0]) <= 3
    assert all(len(regions) <= 1 for regions in found[1:])
    scores = [region.score for region in found[0]]
    assert scores == sorted(scores, reverse=True)
    for region in (r for regions in found for r in regions):
        assert region.mask is not None
        assert region.box == region.mask.box
        assert region.tool == "segment-anything"
    with pytest.raises(ToolError, match="needs a point"):
        sam.segment([image], [Prompt()])


def test_sam_agrees_with_its_own_predictor(sam: Any, sam_file: Path) -> None:
    from segment_anything import SamPredictor

    network = _tiny_sam()
    network.load_state_dict(torch.load(sam_file, weights_only=True))
    predictor = SamPredictor(network)
    image = picture(5, 40, 64)
    predictor.set_image(image.pixels)
    masks, scores, _ = predictor.predict(box=np.array([5, 6, 40, 30]), multimask_output=False)
    (found,) = sam.segment([image], [Prompt(box=(5.0, 6.0, 40.0, 30.0))])
    if masks[0].any():
        assert (found[0].mask.on(image) == masks[0]).all()
        assert found[0].score == pytest.approx(float(np.clip(scores[0], 0, 1)), abs=1e-5)
    else:
        assert len(found) == 0


def test_sam_encodes_a_picture_once_and_keeps_few(sam: Any) -> None:
    calls = []
    encoder = sam._model.image_encoder
    handle = encoder.register_forward_hook(lambda *_: calls.append(1))
    images = [picture(seed) for seed in range(3)]
    for _ in range(3):
        sam.segment([images[0]], [Prompt(points=((5.0, 5.0, True),))])
    assert len(calls) == 1
    sam.segment(images, [Prompt(points=((9.0, 9.0, True),))] * 3)
    assert len(calls) == 3
    sam.segment([images[0]], [Prompt(points=((9.0, 9.0, True),))])  # pushed out by the other two
    assert len(calls) == 4
    handle.remove()


def test_sam_reports_crops_in_the_originals_pixels(sam: Any) -> None:
    crop = picture(1).crop((20, 10, 60, 40))
    for region in sam.segment([crop], [Prompt(points=((30.0, 20.0, True),))])[0]:
        assert 20 <= region.box[0] < region.box[2] <= 60
        assert 10 <= region.box[1] < region.box[3] <= 40


def test_a_wrong_sam_file_is_one_clear_line(tmp_path: Path, sam_file: Path) -> None:
    (tmp_path / "text.pth").write_text("nothing")
    with pytest.raises(ModelFileError, match="tensors only"):
        filled("segmenter", "segment-anything", tmp_path / "text.pth")
    with pytest.raises(ModelFileError, match="not a SAM checkpoint of kind"):
        filled("segmenter", "segment-anything", sam_file)
    with pytest.raises(ModelFileError, match="does not fit SAM vit_b") as caught:
        filled("segmenter", "segment-anything", sam_file, model="vit_b")
    assert "\n" not in str(caught.value)


# --- transformers ----------------------------------------------------------------------------------------------------


def wordpiece(folder: Path) -> Any:
    """A BERT tokenizer of a few words and all letters, as Grounding DINO has it (ids of its special tokens fixed)."""
    words = ["[PAD]", *(f"[unused{i}]" for i in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words += [f"x{i}" for i in range(1012 - len(words))] + ["."]
    words += [f"y{i}" for i in range(1029 - len(words))] + ["?"]
    words += ["cat", "dog", "red", "ball", "man", "person", *"abcdefghijklmnopqrstuvwxyz"]
    words += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(words))
    return transformers.BertTokenizerFast(vocab={word: i for i, word in enumerate(words)}, do_lower_case=True)


def clip_tokenizer() -> Any:
    from test_backends_yolo import byte_tokenizer

    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=byte_tokenizer(), bos_token="<|start|>", eos_token="<|end|>", pad_token="<|end|>"
    )


@pytest.fixture(scope="module")
def grounding_dino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gdino")
    config = transformers.GroundingDinoConfig(
        backbone_config=transformers.SwinConfig(
            embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=4, image_size=64,
            out_features=["stage2", "stage3", "stage4"],
        ),
        text_config={"model_type": "bert", "vocab_size": 1200, "hidden_size": 16, "num_hidden_layers": 1,
                     "num_attention_heads": 2, "intermediate_size": 16},
        d_model=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=32, decoder_ffn_dim=32, num_queries=12, max_text_len=40,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.GroundingDinoForObjectDetection(config).save_pretrained(folder)
    transformers.GroundingDinoProcessor(
        transformers.GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 128}),
        wordpiece(folder),
    ).save_pretrained(folder)
    return folder


def test_grounding_dino_answers_with_the_names_that_were_asked(grounding_dino: Path) -> None:
    model = filled(
        "open_vocabulary", "transformers-zero-shot", grounding_dino, confidence=0.0, iou=1.0, most=3000
    )
    image = picture().crop((10, 5, 60, 45))
    passes = []
    handle = model._model.register_forward_hook(lambda *_: passes.append(1))
    one, two = model.detect([image, image], [["Red ball", "man", "person"], ["Red ball", "man", "person"]])
    assert len(passes) == 1  # both pictures, all names
    assert {region.label for region in one} == {"Red ball", "man", "person"}
    assert [r.label for r in one] == [r.label for r in two]
    assert all(10 <= r.box[0] < r.box[2] <= 60 and 5 <= r.box[1] < r.box[3] <= 45 for r in one)
    many = [f"{a}{b}" for a in "abcdef" for b in "uvwxyz"]  # more than the text input holds
    passes.clear()
    (found,) = model.detect([image], [many])
    assert len(passes) > 1
    assert {r.label for r in found} == set(many)
    assert model.detect([image], [[]])[0] == model.detect([image], [[" . "]])[0]
    handle.remove()


def test_owlv2_answers_with_the_names_that_were_asked(tmp_path: Path) -> None:
    config = transformers.Owlv2Config(
        text_config={"vocab_size": 300, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
                     "num_attention_heads": 2, "bos_token_id": 256, "eos_token_id": 257, "pad_token_id": 257},
        vision_config={"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                       "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.Owlv2ForObjectDetection(config).save_pretrained(tmp_path)
    transformers.Owlv2Processor(
        transformers.Owlv2ImageProcessor(size={"height": 32, "width": 32}), clip_tokenizer()
    ).save_pretrained(tmp_path)
    model = filled("open_vocabulary", "transformers-zero-shot", tmp_path, confidence=0.0, template="{}")
    passes = []
    model._model.register_forward_hook(lambda *_: passes.append(1))
    crop = picture(2).crop((8, 4, 40, 44))
    first, second = model.detect([crop, picture(3)], [["cat", "dog"], ["ball"]])
    assert len(passes) == 2  # pictures of two sizes
    assert {r.label for r in first} == {"cat", "dog"}
    assert {r.label for r in second} == {"ball"}
    assert all(8 <= r.box[0] < r.box[2] <= 40 and 4 <= r.box[1] < r.box[3] <= 44 for r in first)


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    config = transformers.CLIPConfig(
        text_config={"vocab_size": 300, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
                     "num_attention_heads": 2, "bos_token_id": 256, "eos_token_id": 257, "pad_token_id": 257},
        vision_config={"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                       "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.CLIPModel(config).save_pretrained(folder)
    clip_tokenizer().save_pretrained(folder)
    transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder)
    return folder


def test_clip_gives_probabilities_with_a_rest(clip_folder: Path) -> None:
    model = filled("classifier", "transformers-clip", clip_folder)
    images = [picture(0), picture(1)]
    first, second = model.classify(images, [["cat", "dog", "ball"], ["cat"]])
    assert len(first) == 3
    assert len(second) == 1
    for row in (first, second):
        assert all(0 <= p <= 1 for p in row)
        assert sum(row) < 1
    (alone,) = model.classify(images[:1], [["cat", "dog", "ball"]])
    np.testing.assert_allclose(alone, first, atol=1e-5)
    network = transformers.CLIPModel.from_pretrained(clip_folder)
    tokens = transformers.AutoTokenizer.from_pretrained(clip_folder)(
        ["a photo of cat", "a photo of dog", "a photo of ball", "a photo"], padding=True, return_tensors="pt"
    )
    processor = transformers.AutoImageProcessor.from_pretrained(clip_folder)
    pixels = processor(images=[images[0].pixels.copy()], return_tensors="pt")
    with torch.inference_mode():
        expected = network(**tokens, **pixels).logits_per_image.softmax(dim=-1)[0, :3]
    np.testing.assert_allclose(first, expected.numpy(), atol=1e-5)


def test_depth_is_between_near_and_far(tmp_path: Path) -> None:
    config = transformers.DepthAnythingConfig(
        backbone_config=transformers.Dinov2Config(
            hidden_size=16, num_hidden_layers=4, num_attention_heads=2, mlp_ratio=1, image_size=28, patch_size=14,
            out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False,
        ),
        reassemble_hidden_size=16, neck_hidden_sizes=[4, 4, 8, 8], fusion_hidden_size=8, head_hidden_size=4,
        reassemble_factors=[4, 2, 1, 0.5], patch_size=14,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.DepthAnythingForDepthEstimation(config).save_pretrained(tmp_path)
    transformers.DPTImageProcessor(size={"height": 28, "width": 28}, ensure_multiple_of=14).save_pretrained(
        tmp_path
    )
    near, far = (
        filled("depth", "transformers-depth", tmp_path, kind=kind) for kind in ("inverse", "distance")
    )
    images = [picture(0), picture(1, 30, 30), picture(2)]
    results = near.depth(images)
    for image, values in zip(images, results, strict=True):
        assert values.shape == (image.height, image.width)
        assert values.dtype == np.float32
        assert 0 <= values.min() <= values.max() <= 1
    np.testing.assert_allclose(near.depth(images[2:])[0], results[2], atol=1e-4)
    np.testing.assert_allclose(far.depth(images[:1])[0], 1 - results[0], atol=1e-4)


def test_an_image_text_model_answers_and_captions(tmp_path: Path) -> None:
    config = transformers.LlavaConfig(
        vision_config={"model_type": "clip_vision_model", "hidden_size": 16, "intermediate_size": 16, "patch_size": 8,
                       "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 16, "projection_dim": 16},
        text_config={"model_type": "llama", "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
                     "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 300, "eos_token_id": 257,
                     "bos_token_id": 256, "pad_token_id": 257},
        image_token_index=258, vision_feature_layer=-1, vision_feature_select_strategy="default", image_seq_length=4,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.LlavaForConditionalGeneration(config).save_pretrained(tmp_path)
    tokenizer = clip_tokenizer()
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    template = (
        "{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<image>{% else %}"
        "{{ c['text'] }}{% endif %}{% endfor %}{% endfor %}"
    )
    transformers.LlavaProcessor(
        transformers.CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=16), tokenizer, patch_size=8,
        vision_feature_select_strategy="default", chat_template=template, num_additional_image_tokens=1,
    ).save_pretrained(tmp_path)  # fmt: skip
    model = filled("mllm", "transformers-mllm", tmp_path, answer_tokens=4, caption_tokens=5, dtype="float32")
    images = [picture(0), picture(1, 20, 20)]
    answers = model.answer(images, ["What is it?", "Is there a much longer question here?"])
    assert len(answers) == 2
    assert all(isinstance(answer, str) for answer in answers)
    assert model.answer(images[:1], ["What is it?"]) == answers[:1]
    assert len(model.caption(images)) == 2
    assert model.caption([]) == []


@pytest.mark.parametrize(
    ("role", "backend"),
    [
        ("open_vocabulary", "transformers-zero-shot"),
        ("classifier", "transformers-clip"),
        ("depth", "transformers-depth"),
        ("mllm", "transformers-mllm"),
    ],
)
def test_a_folder_that_is_no_checkpoint_is_one_clear_line(
    role: str, backend: str, tmp_path: Path, clip_folder: Path
) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelFileError) as caught:
        filled(role, backend, tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    # a checkpoint of pickles is refused, whatever is in it
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"):
        if (clip_folder / name).is_file():
            (tmp_path / name).write_bytes((clip_folder / name).read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"anything")
    with pytest.raises(ModelFileError):
        filled(role, backend, tmp_path)
