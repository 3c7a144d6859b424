"""What a requested name means to a detector with a closed vocabulary: same word, plural, synonym, kind or wider class.

The word table is ours and small: everyday things, with the 80 classes of COCO and the 20 of VOC covered in full.
A label that it does not know matches nothing; it is never guessed by likeness of spelling.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from ..mllm.nouns import singular

COCO_CLASSES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip

Relation = Literal["same", "kinds", "wider", "none"]

# Words for one thing; the first stands for all.
_SAME = """
person = human = human being = people = individual
bicycle = bike = pushbike = cycle
motorcycle = motorbike = motor bike = motor cycle
car = auto = automobile = motorcar
airplane = aeroplane = plane = aircraft
bus = coach = autobus
train = railway train = locomotive
truck = lorry
boat = vessel
traffic light = traffic signal = stoplight = traffic lights
fire hydrant = hydrant
sheep = ovine
cow = cattle
cat = feline
dog = canine
backpack = rucksack = knapsack
umbrella = parasol
handbag = purse
tie = necktie
suitcase = luggage case
frisbee = flying disc
ski = skis
sports ball = ball
surfboard = surf board
tennis racket = tennis racquet
wine glass = wineglass
hot dog = hotdog
donut = doughnut
couch = sofa = settee
potted plant = pottedplant = houseplant = house plant
dining table = diningtable
tv = tvmonitor = tv monitor = television = tv set = television set = telly
mouse = computer mouse
remote = remote control = tv remote
keyboard = computer keyboard
cell phone = cellphone = mobile phone = mobile = smartphone = cellular phone = phone
microwave = microwave oven
oven = stove = cooker
sink = basin = washbasin
refrigerator = fridge
teddy bear = teddy = teddybear
hair drier = hair dryer = hairdryer = blow dryer
bag = carryall
picture = painting = photo frame
glasses = spectacles = eyeglasses
trousers = pants
garbage bin = trash can = dustbin = bin
wardrobe = closet
telephone = landline phone
musical instrument = music instrument
clothes = clothing = garment
clothing item = item of clothing = piece of clothing = clothing items
household item = household object
sports item = sports object
electronic device = electronic gadget
block = toy block = building block
bathtub = bath = bath tub
eggplant = aubergine
corn cob = corn on the cob
broccoli head = head of broccoli
motorboat = motor boat
flame = fire
wrench = spanner
saxophone = sax
gift = present
trophy = cup trophy
football = american football
soccer ball = soccerball
mouse (animal) = field mouse
"""

# wide: narrow, narrow, ... Every narrow thing is a kind of the wide one.
_KINDS = """
person: man, woman, child, boy, girl, baby, adult, kid, guy, lady, pedestrian, player, rider, driver, cyclist, skier
person: snowboarder, surfer, skateboarder, tennis player, baseball player, soccer player, football player, batter
person: pitcher, catcher, umpire, athlete, runner, tourist, passenger, waiter, waitress, chef, cook, bride, groom
person: police officer, policeman, policewoman, soldier, firefighter, worker, student, teacher, doctor, nurse
person: teenager, toddler, infant, father, mother, gentleman, crowd, spectator, farmer, singer, musician, biker
child: boy, girl, baby, toddler, infant, kid
car: sedan, taxi, cab, suv, convertible, hatchback, police car, sports car, limousine, jeep, race car
truck: pickup, pickup truck, fire truck, fire engine, dump truck, tow truck, garbage truck, semi
bus: double decker, school bus, minibus, tour bus
boat: ship, sailboat, canoe, kayak, ferry, rowboat, yacht, gondola, speedboat, barge, motorboat
airplane: jet, airliner, biplane, jetliner, fighter jet
train: tram, subway train, streetcar, steam train
motorcycle: scooter, moped, dirt bike
bicycle: mountain bike, tandem bicycle
land vehicle: car, bus, truck, motorcycle, bicycle, train, van
motor vehicle: car, bus, truck, motorcycle, van
vehicle: car, bus, truck, motorcycle, bicycle, train, airplane, boat, van, helicopter, tractor, tram
two-wheeler: bicycle, motorcycle
public transport: bus, train
dog: puppy, poodle, terrier, labrador, retriever, bulldog, beagle, dachshund, collie, husky, chihuahua, hound, corgi
cat: kitten, tabby, siamese
horse: pony, foal, stallion, mare
cow: bull, calf, ox
sheep: lamb, ram, ewe
bird: duck, goose, swan, pigeon, seagull, gull, parrot, eagle, owl, chicken, hen, rooster, penguin, sparrow, crow
bird: heron, peacock, ostrich, turkey, flamingo, pelican, dove, stork, hawk
bear: polar bear, grizzly, brown bear, black bear, panda
farm animal: cow, sheep, horse, pig, goat, chicken
livestock: cow, sheep, horse, pig, goat
pet: dog, cat
mammal: cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, pig, goat, monkey, lion, tiger, deer, rabbit
animal: bird, mammal, fish, reptile, insect
bag: backpack, handbag, suitcase, shopping bag, plastic bag, tote bag
luggage: suitcase, backpack, handbag
baggage: suitcase, backpack, handbag
accessory: backpack, umbrella, handbag, tie, suitcase
sports equipment: frisbee, ski, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard
sports equipment: surfboard, tennis racket
sports ball: soccer ball, football, basketball, baseball, tennis ball, volleyball, beach ball
bat: baseball bat
glove: baseball glove
racket: tennis racket
drinking vessel: wine glass, cup, mug, bottle, glass
glass: wine glass
cup: mug, teacup, coffee cup, tumbler, coffee mug, paper cup
bottle: wine bottle, water bottle, beer bottle
cutlery: fork, knife, spoon
silverware: fork, knife, spoon
utensil: fork, knife, spoon
tableware: fork, knife, spoon, bowl, cup, wine glass, plate
kitchenware: fork, knife, spoon, bowl, cup, wine glass, bottle
dish: bowl, plate, cup
container: bottle, cup, bowl, vase, wine glass
citrus: orange, lemon, lime
fruit: banana, apple, orange, pear, grape, strawberry, lemon, pineapple, melon, peach
vegetable: broccoli, carrot, tomato, potato, onion, cucumber, lettuce, pepper
dessert: cake, donut, ice cream, cookie
pastry: donut, cake, croissant
fast food: hot dog, pizza, sandwich, donut
sandwich: burger, hamburger, cheeseburger, bagel
cake: cupcake, birthday cake, wedding cake, cheesecake
food: banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, fruit, vegetable, bread
seat: chair, couch, bench, stool
chair: armchair, office chair, stool, rocking chair, folding chair
couch: loveseat
bed: bunk bed, crib, cot
table: dining table, coffee table, desk, kitchen table
furniture: chair, couch, bed, dining table, bench, table, desk, wardrobe, shelf, cabinet
plant: potted plant, tree, flower, houseplant
screen: tv, laptop, monitor
monitor: tv, computer monitor
computer: laptop, desktop computer
laptop: notebook computer, macbook
electronics: tv, laptop, mouse, remote, keyboard, cell phone
device: laptop, mouse, remote, keyboard, cell phone, tv
appliance: microwave, oven, toaster, sink, refrigerator
kitchen appliance: microwave, oven, toaster, refrigerator
cell phone: iphone
clock: alarm clock, wall clock
stationery: book, scissors
street sign: stop sign
sign: stop sign, street sign
light: traffic light
toy: teddy bear, frisbee, kite
stuffed animal: teddy bear
flower pot: potted plant
telephone: cell phone
animal: mouse (animal), crocodile, whale, dolphin, octopus, crab, snail, camel, kangaroo
mammal: camel, kangaroo, whale, dolphin, panda, mouse (animal), rat, fox, wolf, squirrel
reptile: crocodile, turtle, snake, lizard
amphibian: frog, toad
animal: amphibian
fish: shark, goldfish, salmon
sea animal: fish, whale, dolphin, octopus, crab
insect: bee, butterfly, ant, fly, beetle, ladybug, dragonfly
animal: spider, worm
vehicle: ambulance, rocket, motorboat, hovercraft
emergency vehicle: ambulance, fire truck, police car
aircraft: airplane, helicopter
fruit: watermelon, kiwi, coconut, mango, cherry, plum
food: ice cream, lollipop, croissant, cookie, pretzel, candy, cheese, soup
baked good: bread, croissant, cookie, pretzel, cake, cupcake
sweet: lollipop, candy, cookie, ice cream
vegetable: corn cob, broccoli head, mushroom, eggplant, avocado, cabbage, corn
furniture: toilet, bathtub, door, mirror, drawer
kitchenware: teapot, kettle, pot, pan, plate
household item: kitchenware, electronic device, clock, umbrella, candle, light bulb, broom, basket, bucket, key, bell
household item: book, pencil, envelope, gift, trophy, vase, lamp
electronic device: tv, laptop, cell phone, telephone, camera, robot, computer, tablet, remote, keyboard
electronics: camera, telephone, robot
tool: hammer, wrench, saw, axe, screwdriver, ladder, magnet, drill, pliers, shovel
clothing item: shirt, dress, coat, hat, cap, shoe, boot, scarf, crown, backpack, handbag, jacket, trousers, skirt, sock
clothing item: glove, tie
clothes: shirt, dress, coat, hat, cap, shoe, boot, scarf, jacket, trousers, skirt, sock
footwear: shoe, boot, sandal, slipper
headwear: hat, cap, crown, helmet
sports item: sports ball, tennis racket, kite, skateboard, sled, ice skate, surfboard, snowboard, ski, frisbee
sports equipment: sled, ice skate
musical instrument: guitar, violin, trumpet, saxophone, drum, accordion, piano, flute
instrument: musical instrument
toy: balloon, yo-yo, building toy, doll
building toy: block
plant: palm tree, cactus, flower, leaf, bush, grass
tree: palm tree
flower: sunflower, tulip, rose, daisy
building: house, castle, church, tent, tower, barn
natural object: sun, moon, cloud, snowflake, flame, rainbow
shape: circle, square, triangle, rectangle, diamond, pentagon, star, heart, cross, ring, arrow, hexagon, oval
geometric shape: shape
text: sign, word
"""

# A word with two senses has the second one in a vocabulary without the sign of the first: no mouse but an animal where
# there is no keyboard.
_SENSES = {"mouse": ("keyboard", "mouse (animal)")}

# Words in front that leave the meaning as it is, and words that narrow it without changing what the thing is.
_DETERMINERS = frozenset(
    """a an the some any this that these those his her its their my your our one two three four five six seven eight
    nine ten many several all both each every""".split()
)
_MODIFIERS = _DETERMINERS | frozenset(
    """red orange yellow green blue purple pink brown black white grey gray silver gold golden beige dark light bright
    small little tiny big large huge tall short long young old elderly new round square wooden metal plastic leather
    left right leftmost rightmost top bottom nearest closest other another second first third last main single
    parked moving standing sitting running walking sleeping empty full open closed broken dirty clean striped spotted
    beautiful cute pretty male female adult domestic wild electric visible""".split()
)
_TAILS = re.compile(
    r"\s(?:in|on|at|with|without|wearing|holding|riding|carrying|near|behind|under|above|below|beside|that|who|which"
    r"|from|to|next|sitting|standing|walking|playing|looking|inside|by)\s.*$"
)
_PARTS = re.compile(
    r"^(?:piece|slice|group|pair|bunch|herd|flock|crowd|row|couple|set|pile|kind|type)s?\s+of\s+"
)


@dataclass(frozen=True)
class Match:
    """The classes of a vocabulary that answer to a label, in the vocabulary's order.

    relation: 'same' (one meaning), 'kinds' (each class is a kind of what was asked), 'wider' (the class holds more than
    was asked: a person for 'woman', a car for 'red car'; finding one proves no woman), 'none'.
    """

    classes: tuple[str, ...]
    relation: Relation


def match(label: str, vocabulary: Sequence[str]) -> tuple[str, ...]:
    """The classes of `vocabulary` that cover `label`; empty where none does."""
    return matched(label, vocabulary).classes


def known(label: str, vocabulary: Sequence[str]) -> bool:
    """Whether a detector with this vocabulary can look for `label` at all."""
    return bool(match(label, vocabulary))


def matched(label: str, vocabulary: Sequence[str]) -> Match:
    """As `match`, and how the classes relate to what was asked."""
    return _matched(label, tuple(vocabulary))


@lru_cache(maxsize=4096)
def _matched(label: str, vocabulary: tuple[str, ...]) -> Match:
    wanted = canonical(label)
    by_name: dict[str, list[str]] = {}
    for name in vocabulary:
        by_name.setdefault(canonical(name), []).append(name)
    senses = {
        word: other for word, (sign, other) in _SENSES.items() if word in by_name and sign not in by_name
    }
    by_name = {senses.get(name, name): labels for name, labels in by_name.items()}
    wanted = senses.get(wanted, wanted)
    found = _meaning(wanted, by_name)
    if found.classes:
        return found
    core = senses.get(core := _core(label), core)
    if core != wanted:
        inner = _meaning(core, by_name)
        return Match(inner.classes, "wider" if inner.classes else "none")
    return found


def _meaning(name: str, by_name: dict[str, list[str]]) -> Match:
    """Without looking inside the phrase: the same, else its kinds, else the nearest wider class."""
    order = {item: place for place, item in enumerate(x for names in by_name.values() for x in names)}

    def classes(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted((c for n in names for c in by_name.get(n, ())), key=order.__getitem__))

    if name in by_name:
        return Match(classes([name]), "same")
    if kinds := classes(_closure(name, _tables().narrower)):
        return Match(kinds, "kinds")
    level = {name}
    seen = {name}
    while level := {wide for item in level for wide in _tables().wider.get(item, ())} - seen:
        if wider := classes(level):
            return Match(wider, "wider")
        seen |= level
    return Match((), "none")


def canonical(label: str) -> str:
    """Lower case, singular, one of its synonyms: two names of one thing have one canonical form."""
    text = re.sub(r"[\s_]+", " ", label.strip().lower()).strip(" .")
    same = _tables().same
    words = text.split(" ")
    while len(words) > 1 and words[0] in _DETERMINERS and " ".join(words) not in same:
        words = words[1:]
    text = " ".join(words)
    if text in same:
        return same[text]
    if len(words) > 1 and words[-1] == "glasses":  # 'wine glasses' are no spectacles
        words[-1] = "glass"
    single = " ".join([*words[:-1], singular(words[-1])])
    return same.get(single, single)


def _core(label: str) -> str:
    """The head noun: 'the red car on the left' -> 'car', 'slice of pizza' -> 'pizza', 'cup of tea' -> 'cup'."""
    text = re.sub(r"[\s_]+", " ", label.strip().lower())
    text = _PARTS.sub("", text)
    text = _TAILS.sub("", text)
    text = re.sub(r"\sof\s.*$", "", text)
    words = text.split(" ")
    while len(words) > 1 and canonical(" ".join(words)) not in _tables().things and words[0] in _MODIFIERS:
        words = words[1:]
    return canonical(" ".join(words))


@dataclass(frozen=True)
class _Tables:
    same: dict[str, str]
    narrower: dict[str, tuple[str, ...]]
    wider: dict[str, tuple[str, ...]]
    things: frozenset[str]  # every name that the tables know


@lru_cache(maxsize=1)
def _tables() -> _Tables:
    same: dict[str, str] = {}
    for line in _SAME.strip().splitlines():
        first, *others = (part.strip() for part in line.split("="))
        same.update(dict.fromkeys([first, *others], first))
    narrower: dict[str, list[str]] = {}
    wider: dict[str, list[str]] = {}
    for line in _KINDS.strip().splitlines():
        wide, _, rest = line.partition(":")
        wide = same.get(wide.strip(), wide.strip())
        for part in rest.split(","):
            narrow = same.get(part.strip(), part.strip())
            if narrow != wide:
                narrower.setdefault(wide, []).append(narrow)
                wider.setdefault(narrow, []).append(wide)
    things = frozenset([*same.values(), *narrower, *wider, *COCO_CLASSES])
    return _Tables(
        same,
        {name: tuple(items) for name, items in narrower.items()},
        {name: tuple(items) for name, items in wider.items()},
        things,
    )


def _closure(name: str, table: dict[str, tuple[str, ...]]) -> set[str]:
    """Everything below `name`, however far."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for item in table.get(waiting.pop(), ()):
            if item not in found:
                found.add(item)
                waiting.append(item)
    return found


__all__ = ["COCO_CLASSES", "Match", "Relation", "canonical", "known", "match", "matched", "singular"]
