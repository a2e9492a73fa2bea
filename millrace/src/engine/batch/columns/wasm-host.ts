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

/** Compiles a module of `assembleModule`: about a millisecond. */
export function compileModule(bytes: Uint8Array): object {
  return new WebAssembly.Module(bytes);
}

/** The functions of a module, on a memory. */
export function connectModule(module: object, memory: WasmMemory): WasmFunctions {
  return new WebAssembly.Instance(module, { host: { memory } }).exports;
}
