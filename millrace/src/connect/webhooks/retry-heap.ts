/** What is due, the earliest first: a binary heap. */

export interface Due {
  /** Milliseconds since 1970. */
  readonly dueMs: number;
}

export class RetryHeap<Item extends Due> {
  readonly #items: Item[] = [];

  get size(): number {
    return this.#items.length;
  }

  get first(): Item | undefined {
    return this.#items[0];
  }

  push(item: Item): void {
    const items = this.#items;
    let at = items.length;
    items.push(item);
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = items[parentAt];
      if (parent === undefined || parent.dueMs <= item.dueMs) break;
      items[at] = parent;
      at = parentAt;
    }
    items[at] = item;
  }

  /** The first, which is in it no more. */
  pop(): Item | undefined {
    const items = this.#items;
    const first = items[0];
    const last = items.pop();
    if (last === undefined || items.length === 0) return first;
    let at = 0;
    for (;;) {
      let childAt = 2 * at + 1;
      let child = items[childAt];
      const right = items[childAt + 1];
      if (child !== undefined && right !== undefined && right.dueMs < child.dueMs) {
        childAt++;
        child = right;
      }
      if (child === undefined || child.dueMs >= last.dueMs) break;
      items[at] = child;
      at = childAt;
    }
    items[at] = last;
    return first;
  }

  clear(): void {
    this.#items.length = 0;
  }
}
