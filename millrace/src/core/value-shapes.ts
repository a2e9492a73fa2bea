/**
 * Key lists of objects, for `value-codec.ts`. Records of one kind have one key list: it is turned into bytes once, found again by
 * comparing it with the list that followed the last one before (objects come in the same order, record after record), and
 * objects with it are built by a function made for it, so that all have one hidden class.
 */
import type { ByteWriter } from './byte-writer.ts';
import { VALUE_SHAPES_MAX } from './limits.ts';

/** A function is made for a shape that has been seen so often, and has at most so many keys. */
const COMPILE_AFTER_OBJECTS = 16;
const COMPILED_KEYS_MAX = 64;

type ReadValue = () => unknown;
type EncodeKey = (key: string, writer: ByteWriter) => void;

export class Shape {
  readonly keys: readonly string[];
  /** The encoded key list: each key as a string value. */
  readonly list: Buffer;
  readonly view: DataView;
  /** The shape that came after this one the last time. */
  next: Shape = this;
  private objects = 0;
  private build: ((read: ReadValue) => object) | undefined = undefined;

  constructor(keys: readonly string[], list: Buffer) {
    this.keys = keys;
    this.list = list;
    this.view = new DataView(list.buffer, list.byteOffset, list.length);
  }

  /** An object with these keys, whose values `read` gives one after the other. */
  object(read: ReadValue): object {
    if (this.build !== undefined) return this.build(read);
    if (++this.objects === COMPILE_AFTER_OBJECTS && this.keys.length <= COMPILED_KEYS_MAX)
      this.build = compile(this.keys);
    const result: Record<string, unknown> = {};
    for (const key of this.keys) {
      if (key === '__proto__') defineProto(result, read());
      else result[key] = read();
    }
    return result;
  }
}

/** Shapes by their key lists; forgets all when there are too many (objects used as dictionaries). */
export class Shapes {
  private byList = new Map<string, Shape>();
  private nodes = 0;
  private root: TrieNode = { children: new Map(), shape: undefined };
  /** The shape of the last object; `last.next` is what the next one is expected to be. */
  last: Shape = NONE;

  /** What was expected after `previous` did not come, but `shape`. */
  learn(previous: Shape, shape: Shape): void {
    if (previous !== NONE) previous.next = shape;
    this.last = shape;
  }

  /** The shape whose encoded list is buffer[start, end). `parse` gives its keys when it is new. */
  ofList(buffer: Buffer, start: number, end: number, parse: () => string[]): Shape {
    const text = buffer.latin1Slice(start, end);
    const known = this.byList.get(text);
    if (known !== undefined) return known;
    const shape = new Shape(parse(), Buffer.from(buffer.subarray(start, end)));
    if (this.byList.size >= VALUE_SHAPES_MAX) this.forget();
    this.byList.set(text, shape);
    return shape;
  }

  /** The shape with these keys. `encode` writes one key. */
  ofKeys(keys: readonly string[], writer: ByteWriter, encode: EncodeKey): Shape {
    let node = this.root;
    for (const key of keys) {
      let child = node.children.get(key);
      if (child === undefined) {
        child = { children: new Map(), shape: undefined };
        node.children.set(key, child);
        this.nodes++;
      }
      node = child;
    }
    if (node.shape !== undefined) return node.shape;
    const from = writer.length;
    for (const key of keys) encode(key, writer);
    const shape = new Shape(keys, Buffer.from(writer.buffer.subarray(from, writer.length)));
    writer.length = from;
    node.shape = shape;
    // Keys that never come again must not fill the memory: a trie of so many nodes holds dictionaries, not records.
    if (this.nodes > VALUE_SHAPES_MAX * 16) this.forget();
    return shape;
  }

  private forget(): void {
    this.byList = new Map();
    this.root = { children: new Map(), shape: undefined };
    this.nodes = 0;
    this.last = NONE;
  }
}

const NONE = new Shape([], Buffer.alloc(0));

interface TrieNode {
  readonly children: Map<string, TrieNode>;
  shape: Shape | undefined;
}

/** Returns undefined where the process may not make code from strings. */
function compile(keys: readonly string[]): ((read: ReadValue) => object) | undefined {
  const fields = keys.map((key) =>
    // As a plain key of a literal it would set the prototype.
    key === '__proto__' ? '["__proto__"]: read()' : `${JSON.stringify(key)}: read()`,
  );
  try {
    // oxlint-disable-next-line typescript/no-implied-eval -- the text holds nothing but quoted keys
    return new Function('read', `return { ${fields.join(', ')} };`) as (read: ReadValue) => object;
  } catch {
    return undefined;
  }
}

function defineProto(object: object, value: unknown): void {
  Object.defineProperty(object, '__proto__', {
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}
