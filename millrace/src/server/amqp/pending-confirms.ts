/**
 * What a channel in confirm mode has taken and not confirmed, by groups: one for the messages of a received chunk, which become
 * durable together.
 *
 * Invariant: confirms leave in the order in which the messages came, as many as there are with one `multiple`; a refused message is
 * told by a nack of its own, and no ack with `multiple` passes over it before.
 *
 * Source: RabbitMQ's publisher confirms.
 */

/** Writes one confirm. */
export type ConfirmSink = (
  tag: number,
  how: { readonly ok: boolean; readonly multiple: boolean },
) => void;

interface Group {
  /** The last message of it. */
  readonly last: number;
  /** Messages of it that were refused, rising. */
  readonly refused: readonly number[];
  done: boolean;
}

export class PendingConfirms {
  private readonly send: ConfirmSink;
  private readonly groups: Group[] = [];
  /** Told up to here. */
  private told = 0;

  constructor(send: ConfirmSink) {
    this.send = send;
  }

  get isEmpty(): boolean {
    return this.groups.length === 0;
  }

  /**
   * @param last the tag of the last message; the group begins behind the one before
   * @returns what is to be called when those that were not refused are durable; it tells nothing before `flush`
   */
  add(last: number, refused: readonly number[]): () => void {
    const group: Group = { last, refused, done: false };
    this.groups.push(group);
    return () => {
      group.done = true;
    };
  }

  /** Tells of what is done, so far as everything before it is. */
  flush(): void {
    let count = 0;
    for (const group of this.groups) {
      if (!group.done) break;
      count++;
    }
    if (count === 0) return;
    const done = this.groups.splice(0, count);
    for (const group of done) for (const tag of group.refused) this.nack(tag);
    this.ackUpTo(done.at(-1)?.last ?? 0);
  }

  private nack(tag: number): void {
    this.ackUpTo(tag - 1);
    this.send(tag, { ok: false, multiple: false });
    this.told = tag;
  }

  private ackUpTo(tag: number): void {
    if (tag <= this.told) return;
    this.send(tag, { ok: true, multiple: tag > this.told + 1 });
    this.told = tag;
  }
}
