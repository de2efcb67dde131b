#!/usr/bin/env python3
"""Decodes datagrams of Quorate with nothing but the schema and the standard library.

Reads one JSON object a line, {"group_tag": "...", "hex": "..."}, and answers each with one line:
what the datagram says, or {"error": "..."}. It knows no message: blocks, groups and enumerations
come from schema/quorate.xml, so it shows that the wire does not depend on a language.

    python3 decode.py [path of quorate.xml]
"""
import json
import pathlib
import struct
import sys
import xml.etree.ElementTree as xml

SIZES = {"uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8}
WIRE_VERSION = 1
MAGIC = 0x5251


def crc32c(data):
    """CRC32C (Castagnoli), RFC 3720 appendix B.4."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


class Refused(Exception):
    """The bytes are no datagram for this receiver."""


class Schema:
    """What the XML file says about types and messages."""

    def __init__(self, path):
        root = xml.parse(path).getroot()
        self.id = int(root.get("id"))
        types = root.find("types")
        self.composites = {c.get("name"): list(c) for c in types.findall("composite")}
        self.plain = {t.get("name"): t for t in types.findall("type")}
        self.enums = {
            e.get("name"): (e.get("encodingType"), {int(v.text): v.get("name") for v in e})
            for e in types.findall("enum")
        }
        messages = [m for m in root if m.tag.endswith("message") and m.get("semanticType") == "datagram"]
        self.messages = {int(m.get("id")): m for m in messages}

    def size(self, name):
        if name in SIZES:
            return SIZES[name]
        if name in self.plain:
            return self.element_size(self.plain[name])
        if name in self.enums:
            return SIZES[self.enums[name][0]]
        return sum(self.element_size(e) for e in self.composites[name])

    def element_size(self, element):
        if element.tag == "ref":
            return self.size(element.get("type"))
        return SIZES[element.get("primitiveType")] * int(element.get("length", 1))

    def value(self, data, name, optional=False):
        if name in SIZES:
            number = int.from_bytes(data, "little")
            if optional and number == (1 << 8 * len(data)) - 1:
                return None
            return str(number)
        if name in self.plain:
            return self.element_value(data, self.plain[name])
        if name in self.enums:
            number = int.from_bytes(data, "little")
            return self.enums[name][1].get(number, str(number))
        return self.fields(data, self.composites[name])

    def element_value(self, data, element):
        if element.tag == "ref":
            return self.value(data, element.get("type"))
        if int(element.get("length", 1)) > 1:
            return data.hex()
        return self.value(data, element.get("primitiveType"))

    def fields(self, data, elements):
        """The members of a composite, by name; what is reserved says nothing."""
        values, at = {}, 0
        for element in elements:
            size = self.element_size(element)
            if element.get("name") != "reserved":
                values[element.get("name")] = self.element_value(data[at:at + size], element)
            at += size
        return values

    def block(self, data, fields):
        """The fields of a block, by name; those behind its end are absent."""
        values, at = {}, 0
        for field in fields:
            size = self.size(field.get("type"))
            optional = field.get("presence") == "optional"
            values[field.get("name")] = self.value(data[at:at + size], field.get("type"), optional)
            at += size
        if at > len(data):
            raise Refused("the block is too short")
        return values


def take(data, count):
    if count > len(data):
        raise Refused("the datagram is too short")
    return data[:count], data[count:]


def decode(schema, data, group_tag):
    header_bytes, rest = take(data, schema.size("datagramHeader"))
    header = schema.fields(header_bytes, schema.composites["datagramHeader"])
    if int(header["magic"]) != MAGIC or int(header["wireVersion"]) != WIRE_VERSION:
        raise Refused("not of this protocol")
    if crc32c(data[:4] + bytes(4) + data[8:]) != int(header["checksum"]):
        raise Refused("the checksum is wrong")
    if header["groupTag"] != group_tag:
        raise Refused("of another group")
    prefix, rest = take(rest, 8)
    block_length, template, schema_id, _version = struct.unpack("<HHHH", prefix)
    message = schema.messages.get(template)
    if schema_id != schema.id or message is None:
        raise Refused("an unknown message")
    block, rest = take(rest, block_length)
    fields = schema.block(block, message.findall("field"))
    for group in message.findall("group"):
        size, rest = take(rest, 4)
        entry_length, count = struct.unpack("<HH", size)
        entries = []
        for _ in range(count):
            entry, rest = take(rest, entry_length)
            entries.append(schema.block(entry, group.findall("field")))
        fields[group.get("name")] = entries
    says = {
        "template": message.get("name"),
        "header": {name: header[name] for name in ("senderKind", "sender", "incarnation", "bootEpoch")},
        "fields": fields,
    }
    if message.get("name") in ("LogData", "SessionData"):
        says["slice"] = rest.hex()
    return says


def main():
    here = pathlib.Path(__file__).resolve().parent
    default = here.parent.parent / "schema" / "quorate.xml"
    schema = Schema(sys.argv[1] if len(sys.argv) > 1 else default)
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = decode(schema, bytes.fromhex(question["hex"]), question["group_tag"])
        except Refused as refused:
            answer = {"error": str(refused)}
        print(json.dumps(answer), flush=True)


main()
