import dataclasses
import enum
import typing


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Item:
    name: str
    colour: Colour = Colour.RED
    tags: typing.List[str] = dataclasses.field(default_factory=list)


print(Item("x"), typing.get_type_hints(Item), Item.__module__)
