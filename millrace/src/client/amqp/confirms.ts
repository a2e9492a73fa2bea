/**
 * Which messages of a channel the broker has confirmed. Messages have tags, from 1; those below `first` are settled.
 *
 * A message that came back (it was mandatory, and led nowhere) is not named by its tag: it is taken for the oldest one of the same exchange,
 * routing key, properties and size that has not come back. It is confirmed afterwards like others.
 *
 * @hot
 */
import { MillraceError } from '../../core/errors.ts';
import { AMQP_UNCONFIRMED_MESSAGES_MAX } from '../../core/queue-limits.ts';
import type { Content } from '../../wire/amqp/frames.ts';
import type { MethodOf } from '../../wire/amqp/methods.ts';
import { refused } from './refusal.ts';

/** `refused`: a queue did not take it, for it is full, or the broker cannot write. `returned`: it was mandatory, and led nowhere. */
export type PublishOutcome = 'confirmed' | 'refused' | 'returned';

/** A message that somebody waits for, or that may come back. */
export interface OpenMessage {
  readonly exchange: string;
  readonly routingKey: string;
  readonly isMandatory: boolean;
  readonly properties: Uint8Array;
  readonly bodyBytes: number;
  readonly resolve: ((outcome: PublishOutcome) => void) | undefined;
  readonly reject: ((error: Error) => void) | undefined;
  returned: MethodOf<'basic.return'> | undefined;
}

/** One that nobody waits for by itself, and one that is settled. */
const PLAIN = 'plain';
const SETTLED = 'settled';
type Slot = OpenMessage | typeof PLAIN | typeof SETTLED;

interface Waiter {
  readonly tag: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Slots that are settled are given up when they are so many, and more than half. */
const SETTLED_SLOTS_MAX = 1_024;

export class Confirms {
  private slots: Slot[] = [];
  /** Where in `slots` the message `first` is. */
  private head = 0;
  private first = 1;
  private returnFrom = 1;
  private readonly waiters: Waiter[] = [];
  private readonly room: Waiter[] = [];
  private lostMessages = 0;
  private lostFirst: MillraceError | undefined;
  private readonly name: string;

  /** @param name of the channel, for people */
  constructor(name: string) {
    this.name = name;
  }

  get openMessages(): number {
    return this.slots.length - this.head;
  }

  private get next(): number {
    return this.first + this.openMessages;
  }

  /** The next message was sent. @param message undefined: nobody waits for it by itself, and it does not come back */
  add(message: OpenMessage | undefined): void {
    this.slots.push(message ?? PLAIN);
  }

  /** Resolves when all that was sent is settled. @throws {MillraceError} ML_AMQP_REFUSED when some of it was refused or returned */
  confirmed(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiters.push({ tag: this.next - 1, resolve, reject });
      this.tellWaiters();
    });
  }

  /** undefined: more may be sent; otherwise resolves when it may. */
  wait(): Promise<void> | undefined {
    if (this.openMessages < AMQP_UNCONFIRMED_MESSAGES_MAX) return undefined;
    const tag = this.next - AMQP_UNCONFIRMED_MESSAGES_MAX / 2;
    return new Promise((resolve, reject) => this.room.push({ tag, resolve, reject }));
  }

  /** basic.ack, basic.nack. */
  settle(tag: number, isMultiple: boolean, isAck: boolean): void {
    const last = tag === 0 ? this.next - 1 : tag;
    if (last >= this.next || last < this.first) return;
    const start = isMultiple ? this.head : this.head + last - this.first;
    const end = this.head + last - this.first;
    for (let at = start; at <= end; at++) {
      const slot = this.slots[at] as Slot;
      if (slot === SETTLED) continue;
      this.slots[at] = SETTLED;
      if (slot !== PLAIN || !isAck) this.tell(slot, isAck);
    }
    this.advance();
  }

  /** basic.return. */
  comesBack(method: MethodOf<'basic.return'>, { properties, body }: Content): void {
    const matches = (slot: Slot | undefined): slot is OpenMessage =>
      typeof slot === 'object' &&
      slot.isMandatory &&
      slot.returned === undefined &&
      slot.bodyBytes === body.length &&
      slot.routingKey === method.routingKey &&
      slot.exchange === method.exchange &&
      properties.equals(slot.properties);
    const from = Math.max(this.head, this.head + this.returnFrom - this.first);
    let at = this.slots.findIndex((slot, index) => index >= from && matches(slot));
    if (at === -1) at = this.slots.findIndex((slot, index) => index >= this.head && matches(slot));
    const slot = this.slots[at];
    if (typeof slot !== 'object') return;
    slot.returned = method;
    this.returnFrom = this.first + at - this.head + 1;
  }

  /** Nothing more will be confirmed. */
  fail(error: MillraceError): void {
    for (let at = this.head; at < this.slots.length; at++) {
      const slot = this.slots[at];
      if (typeof slot === 'object') slot.reject?.(error);
    }
    this.slots = [];
    this.head = 0;
    for (const { reject } of this.waiters.splice(0)) reject(error);
    for (const { reject } of this.room.splice(0)) reject(error);
  }

  private tell(slot: OpenMessage | typeof PLAIN, isAck: boolean): void {
    const returned = slot === PLAIN ? undefined : slot.returned;
    if (slot !== PLAIN && slot.resolve !== undefined) {
      if (!isAck) slot.resolve('refused');
      else slot.resolve(returned === undefined ? 'confirmed' : 'returned');
      return;
    }
    if (isAck && returned === undefined) return;
    this.lostMessages++;
    this.lostFirst ??=
      returned === undefined
        ? new MillraceError('ML_AMQP_REFUSED', `a message on ${this.name} was refused`, {
            hint: 'The queue is full, or the disk of the broker is',
            retriable: true,
          })
        : refused(returned, `a message on ${this.name}`);
  }

  private advance(): void {
    while (this.head < this.slots.length && this.slots[this.head] === SETTLED) {
      this.head++;
      this.first++;
    }
    if (this.head === this.slots.length) {
      this.slots.length = 0;
      this.head = 0;
    } else if (this.head > SETTLED_SLOTS_MAX && this.head * 2 > this.slots.length) {
      this.slots = this.slots.slice(this.head);
      this.head = 0;
    }
    this.tellWaiters();
  }

  private tellWaiters(): void {
    while (this.room.length > 0 && (this.room[0] as Waiter).tag < this.first) {
      this.room.shift()?.resolve();
    }
    while (this.waiters.length > 0 && (this.waiters[0] as Waiter).tag < this.first) {
      const waiter = this.waiters.shift();
      const error = this.takeLost();
      if (error === undefined) waiter?.resolve();
      else waiter?.reject(error);
    }
  }

  private takeLost(): MillraceError | undefined {
    const { lostFirst, lostMessages } = this;
    this.lostFirst = undefined;
    this.lostMessages = 0;
    if (lostFirst === undefined || lostMessages === 1) return lostFirst;
    const { message, hint, retriable, fields } = lostFirst;
    return new MillraceError(
      'ML_AMQP_REFUSED',
      `${message}, and so were ${lostMessages - 1} more of those sent with it`,
      { hint, retriable, fields },
    );
  }
}
