"""Restores machine code: docs/FORMAT.md, "Branch filters"."""

X86, X86_64, ARM64 = 1, 2, 3
ACCESSES_0F = bytes.fromhex("10 11 28 29 2E 2F 54 57 58 59 5C 5E 6F 7F B6 B7 BE BF")
ACCESSES = bytes.fromhex("03 2B 38 39 3B 63 80 81 83 85 88 89 8B 8D C6 C7 FF")

def sext(x: int, bits: int) -> int:
    low = x & (1 << bits) - 1
    return low - (low >> bits - 1 << bits)

def field_offset(branch_filter: int, b: bytes) -> int:
    """f of the table, or 0 if no line applies."""
    if b[0] == 0xE8:
        return 1
    if branch_filter == X86:
        return 0
    if b[0] == 0x0F and b[1] in ACCESSES_0F and b[2] & 0xC7 == 0x05:
        return 3
    return 2 if b[0] in ACCESSES and b[1] & 0xC7 == 0x05 else 0

def restore_x86(branch_filter: int, block: bytearray, address: int) -> None:
    i = 0
    while i + 7 <= len(block):
        f = field_offset(branch_filter, block[i : i + 3])
        if f == 0:
            i += 1
            continue
        i += f + 4
        v = sext(int.from_bytes(block[i - 4 : i], "little"), 32)
        if -(2**24) <= v < 2**24:
            restored = sext(v - (address + i), 25)
            block[i - 4 : i] = (restored & 2**32 - 1).to_bytes(4, "little")

def restore_word(w: int, a: int) -> int:
    if w >> 26 == 0x25:
        return w & ~(2**26 - 1) | (w - (a >> 2)) & 2**26 - 1
    if w & 0x9F000000 == 0x90000000:
        p = sext(w >> 29 & 3 | w >> 3 & 0x1FFFFC, 21)
        if -(2**17) <= p < 2**17:
            q = sext(p - (a >> 12), 18)
            return w & 0x9F00001F | (q & 3) << 29 | (q >> 2 & 2**19 - 1) << 5
    return w

def restore(branch_filter: int, coded: bytes, address: int) -> bytes:
    """The original of a block whose first byte has this address."""
    block = bytearray(coded)
    if branch_filter in (X86, X86_64):
        restore_x86(branch_filter, block, address)
    elif branch_filter == ARM64:
        for i in range(-address % 4, len(block) - 3, 4):
            w = int.from_bytes(block[i : i + 4], "little")
            a = address + i & 2**32 - 1
            block[i : i + 4] = restore_word(w, a).to_bytes(4, "little")
    return bytes(block)
