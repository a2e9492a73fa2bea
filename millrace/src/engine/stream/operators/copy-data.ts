/**
 * Plain data, once more: what is put into a store, told to others and then changed in place by a function of the program would change for
 * them, too. Kept is what `core/value-codec` keeps. Primitives are themselves, and cost nothing.
 *
 * @hot
 */
export function copyData<T>(value: T): T {
  return typeof value === 'object' && value !== null ? (copyObject(value) as T) : value;
}

function copyObject(value: object): object {
  if (Array.isArray(value)) {
    const copy = value.slice() as unknown[];
    for (let index = 0; index < copy.length; index++) {
      const element = copy[index];
      if (typeof element === 'object' && element !== null) copy[index] = copyObject(element);
    }
    return copy;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return copyFields(value);
  if (value instanceof Map) {
    const copy = new Map<unknown, unknown>();
    for (const [key, element] of value)
      copy.set(copyData(key as unknown), copyData(element as unknown));
    return copy;
  }
  if (value instanceof Set) {
    const copy = new Set<unknown>();
    for (const element of value) copy.add(copyData(element as unknown));
    return copy;
  }
  if (value instanceof Date) return new Date(value.getTime());
  if (Buffer.isBuffer(value)) return Buffer.from(value);
  if (value instanceof Uint8Array) return value.slice();
  return copyFields(value);
}

function copyFields(value: object): object {
  const copy: Record<string, unknown> = { ...value };
  for (const name in copy) {
    const field = copy[name];
    if (typeof field === 'object' && field !== null) copy[name] = copyObject(field);
  }
  return copy;
}
