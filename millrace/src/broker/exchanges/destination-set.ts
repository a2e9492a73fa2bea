/** What is bound at one place, each with the number of bindings that say so. */
export class DestinationSet<Destination> {
  private readonly counts = new Map<Destination, number>();
  /** The same as a list, for those that route; undefined after a change. */
  private list: Destination[] | undefined = undefined;

  get isEmpty(): boolean {
    return this.counts.size === 0;
  }

  add(destination: Destination): void {
    this.counts.set(destination, (this.counts.get(destination) ?? 0) + 1);
    this.list = undefined;
  }

  /** Takes back one `add`. */
  remove(destination: Destination): void {
    const count = this.counts.get(destination);
    if (count === undefined) return;
    if (count > 1) this.counts.set(destination, count - 1);
    else this.counts.delete(destination);
    this.list = undefined;
  }

  /** Appends each destination once. */
  collect(into: Destination[]): void {
    const list = (this.list ??= [...this.counts.keys()]);
    for (let index = 0; index < list.length; index++) into.push(list[index] as Destination);
  }
}
