/**
 * Items by time, the earliest first: a heap of four branches in two arrays side by side, 16 bytes an item.
 *
 * It is lazy. What is due later than it was stays where it is, what is gone stays until its time: who pops looks again, and puts back. So a
 * session that grows with every record, or a window that counts a million, moves nothing here.
 *
 * @hot
 */
export class DueQueue<Item> {
  private dues = new Float64Array(64);
  private items: Item[] = [];

  get size(): number {
    return this.items.length;
  }

  /** The time of the first; Infinity: it is empty. */
  get next(): number {
    return this.items.length === 0 ? Number.POSITIVE_INFINITY : (this.dues[0] as number);
  }

  push(due: number, item: Item): void {
    const { items } = this;
    let at = items.length;
    if (at === this.dues.length) this.grow();
    const { dues } = this;
    items.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 2;
      const parentDue = dues[parent] as number;
      if (parentDue <= due) break;
      dues[at] = parentDue;
      items[at] = items[parent] as Item;
      at = parent;
    }
    dues[at] = due;
    items[at] = item;
  }

  /** Takes the first out. It must not be empty. */
  pop(): Item {
    const { dues, items } = this;
    const first = items[0] as Item;
    const item = items.pop() as Item;
    const { length } = items;
    if (length === 0) return first;
    const due = dues[length] as number;
    let at = 0;
    for (;;) {
      const child = this.firstChild(at, length);
      if (child < 0 || (dues[child] as number) >= due) break;
      dues[at] = dues[child] as number;
      items[at] = items[child] as Item;
      at = child;
    }
    dues[at] = due;
    items[at] = item;
    return first;
  }

  clear(): void {
    this.items = [];
    this.dues = new Float64Array(64);
  }

  /** The earliest child; -1: it has none. */
  private firstChild(parent: number, length: number): number {
    const from = parent * 4 + 1;
    if (from >= length) return -1;
    const { dues } = this;
    const to = from + 4 < length ? from + 4 : length;
    let best = from;
    for (let at = from + 1; at < to; at++)
      if ((dues[at] as number) < (dues[best] as number)) best = at;
    return best;
  }

  private grow(): void {
    const dues = new Float64Array(this.dues.length * 2);
    dues.set(this.dues);
    this.dues = dues;
  }
}
