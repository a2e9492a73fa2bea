/**
 * Writes what comes one by one in groups: while one is on its way to the disk, the next one collects, up to a bound. Who is told to wait
 * waits.
 */

export interface LineWriterOptions<Item> {
  /** Writes a group. @param first how many were written before */
  readonly write: (items: readonly Item[], first: number) => Promise<void>;
  /** Of items that collect. */
  readonly bytesMax: number;
  readonly itemsMax: number;
}

export class LineWriter<Item> {
  readonly #options: LineWriterOptions<Item>;
  #items: Item[] = [];
  #bytes = 0;
  /** Of the group that is on its way. */
  #writingBytes = 0;
  #taken = 0;
  #written = 0;
  #working: Promise<void> | undefined;
  #failure: unknown;
  #hasFailed = false;

  constructor(options: LineWriterOptions<Item>) {
    this.#options = options;
  }

  /** Items that are on the disk. */
  get written(): number {
    return this.#written;
  }

  /** Those and what is to follow them. */
  get taken(): number {
    return this.#taken;
  }

  /** Of items that are not on the disk. */
  get bytes(): number {
    return this.#bytes + this.#writingBytes;
  }

  /** @returns a wait before the next one, when there is much. @throws what a group before has failed with */
  push(item: Item, bytes: number): Promise<void> | undefined {
    this.#check();
    this.#items.push(item);
    this.#bytes += bytes;
    this.#taken++;
    this.#working ??= this.#work();
    const { bytesMax, itemsMax } = this.#options;
    if (this.#bytes < bytesMax && this.#items.length < itemsMax) return undefined;
    return this.end();
  }

  /** Resolves when all is written. @throws what a group has failed with */
  async end(): Promise<void> {
    await this.#working;
    this.#check();
  }

  async #work(): Promise<void> {
    try {
      while (this.#items.length > 0) {
        // What comes in the same turn goes along.
        await Promise.resolve();
        const items = this.#items;
        this.#items = [];
        this.#writingBytes = this.#bytes;
        this.#bytes = 0;
        await this.#options.write(items, this.#written);
        this.#written += items.length;
      }
    } catch (error) {
      this.#failure = error;
      this.#hasFailed = true;
    } finally {
      this.#writingBytes = 0;
      this.#working = undefined;
    }
  }

  #check(): void {
    if (this.#hasFailed) throw this.#failure;
  }
}
