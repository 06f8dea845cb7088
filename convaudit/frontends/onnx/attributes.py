"""An ONNX node's attributes, read with their types and ranges checked: a model file is untrusted."""

from __future__ import annotations

from onnx import AttributeProto, NodeProto

from convaudit.errors import ModelError

_LARGEST = 2**31 - 1  # no runtime takes a larger stride, dilation or padding


class Attributes:
    """Attributes of one node."""

    def __init__(self, node: NodeProto, who: str) -> None:
        """Read the attributes of ``node``.

        Args:
            node: Node of an untrusted file.
            who: How error messages name it.
        """
        self._by_name: dict[str, AttributeProto] = {attribute.name: attribute for attribute in node.attribute}
        self.who = who

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def integer(self, name: str, default: int) -> int:
        """An integer attribute.

        Raises:
            ModelError: It has another type.
        """
        attribute = self._typed(name, AttributeProto.INT)
        return default if attribute is None else attribute.i

    def real(self, name: str, default: float) -> float:
        """A floating-point attribute.

        Raises:
            ModelError: It has another type.
        """
        attribute = self._typed(name, AttributeProto.FLOAT)
        return default if attribute is None else attribute.f

    def size(self, name: str, default: int, minimum: int) -> int:
        """An integer attribute of at least ``minimum``, and at most what runtimes take.

        Raises:
            ModelError: It has another type, or is out of range.
        """
        value = self.integer(name, default)
        if not minimum <= value <= _LARGEST:
            raise ModelError(f"{self.who}: {name} must be between {minimum} and {_LARGEST}, got {value}")
        return value

    def string(self, name: str, default: str) -> str:
        """A string attribute.

        Raises:
            ModelError: It has another type.
        """
        attribute = self._typed(name, AttributeProto.STRING)
        return default if attribute is None else attribute.s.decode(errors="replace")

    def integers(self, name: str) -> list[int] | None:
        """A list of integers of any length; None if absent.

        Raises:
            ModelError: It has another type.
        """
        attribute = self._typed(name, AttributeProto.INTS)
        return None if attribute is None else list(attribute.ints)

    def floats(self, name: str) -> tuple[float, ...]:
        """A list of floats of any length; empty if absent.

        Raises:
            ModelError: It has another type.
        """
        attribute = self._typed(name, AttributeProto.FLOATS)
        return () if attribute is None else tuple(attribute.floats)

    def sizes(self, name: str, count: int, default: int, minimum: int) -> tuple[int, ...]:
        """A list of integers of known length, such as one stride per spatial axis.

        Args:
            name: Name of the attribute.
            count: How many there must be.
            default: Each of them, where the attribute is absent.
            minimum: The smallest that each may be.

        Raises:
            ModelError: There are more or fewer, or one is out of range.
        """
        values = self.integers(name)
        if values is None:
            return (default,) * count
        if len(values) != count:
            raise ModelError(f"{self.who}: {name} must have {count} values, got {values}")
        if any(not minimum <= value <= _LARGEST for value in values):
            raise ModelError(f"{self.who}: {name} must be between {minimum} and {_LARGEST}, got {values}")
        return tuple(values)

    def _typed(self, name: str, kind: int) -> AttributeProto | None:
        attribute = self._by_name.get(name)
        if attribute is None:
            return None
        if attribute.type != kind and not (attribute.type == 0 and _holds(attribute, kind)):
            wanted, actual = _type_name(kind), _type_name(attribute.type)
            raise ModelError(f"{self.who}: {name} must be of type {wanted}, not {actual}")
        return attribute


def _type_name(kind: int) -> str:
    names: dict[str, int] = dict(AttributeProto.AttributeType.items())
    return next((name for name, number in names.items() if number == kind), f"number {kind}")


def _holds(attribute: AttributeProto, kind: int) -> bool:
    """IR versions 1 and 2 had no type field: the filled field tells."""
    if kind == AttributeProto.INTS:
        return bool(attribute.ints)
    field = "i" if kind == AttributeProto.INT else "f" if kind == AttributeProto.FLOAT else "s"
    return bool(attribute.HasField(field))
