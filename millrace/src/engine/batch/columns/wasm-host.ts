/** The little of WebAssembly's interface that is used here: the types of Node do not have it. */

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  /** Adds pages of 64 KiB; `buffer` is another one afterwards. */
  grow(pages: number): number;
}

export type WasmFunctions = Readonly<Record<string, (...values: number[]) => number>>;

declare const WebAssembly: {
  readonly Memory: new (settings: { readonly initial: number }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: WasmFunctions };
};

/** One page. */
export function createWasmMemory(): WasmMemory {
  return new WebAssembly.Memory({ initial: 1 });
}

/** Compiles a module of `assembleModule`, about a millisecond, and connects it with a memory. */
export function instantiateModule(bytes: Uint8Array, memory: WasmMemory): WasmFunctions {
  return new WebAssembly.Instance(new WebAssembly.Module(bytes), { host: { memory } }).exports;
}
