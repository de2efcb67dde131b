#!/usr/bin/env python3
"""Decodes messages of any schema of the Simple Binary Encoding, with the standard library alone.

Reads one JSON object a line. {"schema": "<XML>"} sets the schema and is answered {"ready": true};
{"hex": "..."} is answered with what the message says, or {"error": "..."}. Numbers are decimal
strings, floating-point numbers the hexadecimal digits of their bits, bytes are text of Latin-1, and
what is absent is null.

It walks along the XML while it reads, and computes no layout beforehand.
"""
import json
import sys
import xml.etree.ElementTree as xml

SIZES = {"char": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8, "uint8": 1, "uint16": 2,
         "uint32": 4, "uint64": 8, "float": 4, "double": 8}
ENTRIES_MAX = 4096


class Refused(Exception):
    """The bytes are no message of the schema."""


def kind_of(element):
    return element.tag.rpartition("}")[2]


class Decoder:
    def __init__(self, text):
        root = xml.fromstring(text)
        self.order = "big" if root.get("byteOrder") == "bigEndian" else "little"
        self.id = int(root.get("id"))
        self.types = {t.get("name"): t for list_ in root.findall("types") for t in list_}
        self.messages = {int(m.get("id")): m for m in root if kind_of(m) == "message"}
        self.header = self.types[root.get("headerType", "messageHeader")]

    # Sizes.

    def primitive(self, name):
        """The primitive that a type, or the name of one, is encoded as."""
        while name not in SIZES:
            element = self.types[name]
            name = element.get("primitiveType") or element.get("encodingType")
        return name

    def size(self, element):
        kind = kind_of(element)
        if element.get("presence") == "constant":
            return 0
        if kind in ("ref", "field"):
            name = element.get("type")
            return SIZES[name] if name in SIZES else self.size(self.types[name])
        if kind == "composite":
            end = 0
            for part in element:
                end = int(part.get("offset", end)) + self.size(part)
            return end
        if kind in ("enum", "set"):
            return SIZES[self.primitive(element.get("encodingType"))]
        return SIZES[element.get("primitiveType")] * int(element.get("length", 1))

    # Numbers.

    def raw(self, data, primitive):
        return int.from_bytes(data, self.order, signed=primitive.startswith("int"))

    def null(self, element, primitive):
        """The number that stands for none; floating-point numbers have no single one."""
        told = element.get("nullValue") if element is not None else None
        if told is not None:
            return ord(told) if primitive == "char" else int(told)
        bits = 8 * SIZES[primitive]
        if primitive == "char":
            return 0
        return -(1 << bits - 1) if primitive.startswith("int") else (1 << bits) - 1

    def scalar(self, data, primitive, element, optional):
        if primitive in ("float", "double"):
            bits = int.from_bytes(data, self.order)
            mantissa, exponent = (23, 0xFF) if primitive == "float" else (52, 0x7FF)
            if bits >> mantissa & exponent == exponent and bits & (1 << mantissa) - 1:
                return None
            return f"0x{bits:0{2 * len(data)}x}"
        number = self.raw(data, primitive)
        if optional and number == self.null(element, primitive):
            return None
        return chr(number) if primitive == "char" else str(number)

    # Values.

    def value(self, data, element, optional=False):
        """What the bytes of a type, a part of a composite or a field say."""
        kind = kind_of(element)
        if kind == "field" and element.get("valueRef"):
            return element.get("valueRef").partition(".")[2]
        if kind in ("ref", "field"):
            name = element.get("type")
            optional = kind == "field" and element.get("presence") == "optional"
            if name in SIZES:
                return self.scalar(data, name, None, optional)
            return self.value(data, self.types[name], optional)
        optional = optional or kind == "type" and element.get("presence") == "optional"
        if kind == "composite":
            return self.composite(data, element, optional)
        if kind == "set":
            number = int.from_bytes(data, self.order)
            return [c.get("name") for c in element if number >> int(c.text) & 1]
        if kind == "enum":
            return self.named(data, element, optional)
        primitive = element.get("primitiveType")
        if element.get("presence") == "constant":
            return element.text.strip()
        length, size = int(element.get("length", 1)), SIZES[primitive]
        if length == 1:
            return self.scalar(data, primitive, element, optional)
        if primitive == "char":
            return data.split(b"\0")[0].decode("latin-1")
        parts = [data[at:at + size] for at in range(0, length * size, size)]
        return [self.scalar(part, primitive, element, optional) for part in parts]

    def named(self, data, element, optional):
        primitive = self.primitive(element.get("encodingType"))
        number = self.raw(data, primitive)
        for value in element:
            text = value.text.strip()
            if number == (ord(text) if primitive == "char" else int(text)):
                return value.get("name")
        if optional and number == self.null(None, primitive):
            return None
        return str(number)

    def composite(self, data, element, optional):
        if optional and self.begins_with_null(data, element):
            return None
        says, end = {}, 0
        for part in element:
            begin = int(part.get("offset", end))
            end = begin + self.size(part)
            says[part.get("name")] = self.value(data[begin:end], part)
        return says

    def begins_with_null(self, data, composite):
        first = next(iter(composite))
        while kind_of(first) == "ref":
            first = self.types[first.get("type")]
        if kind_of(first) == "composite":
            return self.begins_with_null(data, first)
        if kind_of(first) == "set" or first.get("presence") == "constant":
            return False
        kind = first.get("encodingType") if kind_of(first) == "enum" else first.get("primitiveType")
        primitive = self.primitive(kind)
        part = data[:SIZES[primitive]]
        return self.scalar(part, primitive, first if kind_of(first) == "type" else None, True) is None

    # Messages.

    def take(self, count):
        if count > len(self.data) - self.at:
            raise Refused("there are too few bytes")
        self.at += count
        return self.data[self.at - count:self.at]

    def numbers(self, composite):
        """The parts of a header or a dimension."""
        says = self.composite(self.take(self.size(composite)), composite, False)
        return {name: int(number) for name, number in says.items()}

    def most(self, composite, name):
        part = next(part for part in composite if part.get("name") == name)
        return int(part.get("maxValue", self.null(None, part.get("primitiveType")) - 1))

    def level(self, element, block_length):
        says, block, end = {}, self.take(block_length), 0
        for field in (e for e in element if kind_of(e) == "field"):
            begin = int(field.get("offset", end))
            end = begin + self.size(field)
            if not self.is_there(field):
                says[field.get("name")] = None
            elif end > len(block):
                raise Refused("a block is too short")
            else:
                says[field.get("name")] = self.value(block[begin:end], field)
        for group in (e for e in element if kind_of(e) == "group"):
            says[group.get("name")] = self.group(group) if self.is_there(group) else []
        for data in (e for e in element if kind_of(e) == "data"):
            says[data.get("name")] = self.text(data) if self.is_there(data) else ""
        return says

    def is_there(self, element):
        return int(element.get("sinceVersion", 0)) <= self.version

    def group(self, group):
        dimension = self.types[group.get("dimensionType", "groupSizeEncoding")]
        size = self.numbers(dimension)
        self.entries += size["numInGroup"]
        if size["numInGroup"] > self.most(dimension, "numInGroup") or self.entries > ENTRIES_MAX:
            raise Refused("there are too many entries")
        return [self.level(group, size["blockLength"]) for _ in range(size["numInGroup"])]

    def text(self, data):
        composite = self.types[data.get("type")]
        primitive = composite[0].get("primitiveType")
        length = self.raw(self.take(SIZES[primitive]), primitive)
        if length > self.most(composite, "length"):
            raise Refused("data is too long")
        return self.take(length).decode("latin-1")

    def decode(self, data):
        self.data, self.at, self.entries = data, 0, 0
        header = self.numbers(self.header)
        if header["schemaId"] != self.id:
            raise Refused("of another schema")
        message = self.messages.get(header["templateId"])
        if message is None:
            raise Refused("an unknown message")
        self.version = header["version"]
        says = self.level(message, header["blockLength"])
        return {"message": message.get("name"), "version": str(self.version), "says": says,
                "rest": len(data) - self.at}


def main():
    decoder = None
    for line in sys.stdin:
        question = json.loads(line)
        if "schema" in question:
            decoder, answer = Decoder(question["schema"]), {"ready": True}
        else:
            try:
                answer = decoder.decode(bytes.fromhex(question["hex"]))
            except Refused as refused:
                answer = {"error": str(refused)}
        print(json.dumps(answer), flush=True)


main()
