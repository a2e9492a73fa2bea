/** The first byte of an encoded value: see `value-codec.ts`. NOTE: bytes in run files and tables, do not renumber. */

export const UNDEFINED = 0x00;
export const NULL = 0x01;
export const FALSE = 0x02;
export const TRUE = 0x03;
export const INT16 = 0x04;
export const INT32 = 0x05;
export const DOUBLE = 0x06;
export const DATE = 0x07;
export const BIGINT64 = 0x08;
export const BIGINT_NEGATIVE = 0x09;
export const BIGINT = 0x0a;
export const TEXT = 0x10;
export const TEXT_LONG = 0x11;
export const TEXT_UTF16 = 0x12;
export const BYTES = 0x18;
export const BUFFER = 0x19;
export const ARRAY = 0x20;
export const ARRAY_LONG = 0x21;
export const MAP = 0x22;
export const SET = 0x23;
export const OBJECT = 0x30;
export const OBJECT_LONG = 0x31;
export const ASCII = 0x40;
export const SMALL = 0x80;
