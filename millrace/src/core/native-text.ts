/**
 * Types of what Node has and its type package lacks: the methods of Buffer that turn bytes into strings and back by one native
 * call, without the detour of `toString` and `write` over the name of an encoding.
 */
declare global {
  interface Buffer {
    utf8Slice(start?: number, end?: number): string;
    latin1Slice(start?: number, end?: number): string;
    ucs2Slice(start?: number, end?: number): string;
    utf8Write(text: string, position?: number, length?: number): number;
    latin1Write(text: string, position?: number, length?: number): number;
    ucs2Write(text: string, position?: number, length?: number): number;
  }
  interface String {
    /** Whether the string has no lone surrogates. ES2024. */
    isWellFormed(): boolean;
  }
}

/** A buffer with these methods. */
export type NativeBuffer = Buffer;
