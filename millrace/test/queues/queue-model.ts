/**
 * A queue as naively as can be, beside a real one: a list of messages that were published, and what has become of each. It says of every
 * event whether it may happen, and afterwards whether everything has happened that should have.
 */
import type { DeadLetterReason, Delivery, QueueSettings } from '../../src/broker/queues/queue.ts';
import type { PlainState } from './plain-states.ts';

export interface ModelMessage {
  readonly text: string;
  readonly offset: number;
  readonly priority: number;
  readonly key: string | undefined;
  readonly expiresAtMs: number;
  readonly isImmediate: boolean;
  /** Not ready before. */
  dueAtMs: number;
  count: number;
  /** It was given to somebody. */
  wasOut: boolean;
  /** It was there when the power went: nobody knows whether it was with somebody. */
  isUncertain: boolean;
  state: 'arriving' | 'waiting' | 'held' | 'gone';
}

/** Times that lie so near each other may come in either order. */
const TOLERANCE_MS = 300;

export class QueueModel {
  readonly messages: ModelMessage[] = [];
  readonly problems: string[] = [];
  private readonly settings: QueueSettings;
  private readonly nowMs: () => number;
  private readonly byText = new Map<string, ModelMessage>();

  constructor(settings: QueueSettings, nowMs: () => number) {
    this.settings = settings;
    this.nowMs = nowMs;
  }

  add(message: ModelMessage): void {
    this.messages.push(message);
    this.byText.set(message.text, message);
  }

  private fail(problem: string): void {
    this.problems.push(problem);
  }

  private find(text: string): ModelMessage | undefined {
    const message = this.byText.get(text);
    if (message === undefined) this.fail(`nobody has published ${text}`);
    return message;
  }

  private isDue(message: ModelMessage, toleranceMs = 0): boolean {
    return message.dueAtMs <= this.nowMs() + toleranceMs;
  }

  private isOld(message: ModelMessage, toleranceMs = 0): boolean {
    return Math.max(message.expiresAtMs, message.dueAtMs) <= this.nowMs() + toleranceMs;
  }

  /** Another message of its key has to be settled first. */
  private isBlocked(message: ModelMessage): boolean {
    const { key, offset } = message;
    return (
      this.settings.keyOrdered &&
      key !== undefined &&
      this.messages.some(
        (other) =>
          other.key === key &&
          other.offset < offset &&
          other.state !== 'gone' &&
          !(other.state === 'waiting' && this.isOld(other, TOLERANCE_MS)),
      )
    );
  }

  /** Messages that must come before this one. */
  private before(message: ModelMessage): ModelMessage[] {
    return this.messages.filter(
      (other) =>
        (other.state === 'waiting' ||
          (other.state === 'arriving' && message.state === 'arriving')) &&
        other !== message &&
        (other.priority > message.priority ||
          (other.priority === message.priority && other.offset < message.offset)) &&
        this.isDue(other, -TOLERANCE_MS) &&
        !this.isOld(other, TOLERANCE_MS) &&
        !this.isBlocked(other),
    );
  }

  private mustBeNext(message: ModelMessage, what: string): void {
    const [first] = this.before(message);
    if (first !== undefined) this.fail(`${what} ${message.text} before ${first.text}`);
  }

  delivered(delivery: Delivery, noAck: boolean): void {
    const message = this.find(delivery.message.body.toString());
    if (message === undefined) return;
    const { text } = message;
    if (message.state !== 'waiting' && message.state !== 'arriving')
      this.fail(`delivered ${text}, which is ${message.state}`);
    if (message.offset !== delivery.offset) this.fail(`${text} has offset ${delivery.offset}`);
    if (!this.isDue(message, TOLERANCE_MS)) this.fail(`delivered ${text} before it was due`);
    if (this.isOld(message, -TOLERANCE_MS) && !(message.isImmediate && message.count === 0))
      this.fail(`delivered ${text}, which is too old`);
    if (this.isBlocked(message)) this.fail(`delivered ${text}, whose key is out`);
    this.mustBeNext(message, 'delivered');
    if (message.wasOut && !delivery.redelivered) this.fail(`${text} comes again, without a word`);
    if (!message.wasOut && !message.isUncertain && delivery.redelivered)
      this.fail(`${text} is called redelivered`);
    if (delivery.deliveryCount !== message.count)
      this.fail(`${text} came back ${message.count} times, not ${delivery.deliveryCount}`);
    message.wasOut = true;
    message.state = noAck ? 'gone' : 'held';
  }

  released(text: string, delayMs: number): void {
    const message = this.find(text);
    if (message === undefined) return;
    message.count++;
    message.state = 'waiting';
    if (delayMs > 0) message.dueAtMs = this.nowMs() + delayMs;
    this.expectLimit(message);
  }

  /** With no dead letters nobody tells that it was dropped. */
  private expectLimit(message: ModelMessage): void {
    const { deliveryLimit, deadLetterExchange } = this.settings;
    const isOver = deliveryLimit !== undefined && message.count > deliveryLimit;
    if (isOver && deadLetterExchange === undefined) message.state = 'gone';
  }

  accepted(text: string): void {
    const message = this.find(text);
    if (message !== undefined) message.state = 'gone';
  }

  deadLetter(text: string, reason: DeadLetterReason): void {
    const message = this.find(text);
    if (message === undefined) return;
    if (message.state === 'gone') this.fail(`${text} is gone, and becomes a dead letter`);
    switch (reason) {
      case 'expired':
        if (!this.isOld(message, TOLERANCE_MS)) this.fail(`${text} expired too early`);
        if (message.state === 'held') this.fail(`${text} expired while somebody had it`);
        break;
      case 'maxlen': {
        const { maxLength = Infinity } = this.settings;
        if (message.state === 'held') this.fail(`${text} was dropped while somebody had it`);
        if (this.count('waiting') + this.count('arriving') <= maxLength)
          this.fail(`${text} was dropped, though there was room`);
        this.mustBeNext(message, 'dropped');
        break;
      }
      case 'delivery_limit':
        if (message.count < (this.settings.deliveryLimit ?? Infinity))
          this.fail(`${text} reached no limit`);
        break;
      case 'rejected':
        if (message.state !== 'held') this.fail(`${text} was rejected by nobody`);
        break;
    }
    message.state = 'gone';
  }

  count(state: ModelMessage['state']): number {
    return this.messages.filter((message) => message.state === state).length;
  }

  purged(): void {
    for (const message of this.messages)
      if (message.state === 'waiting' && this.isDue(message)) message.state = 'gone';
  }

  /** Without dead letters nobody tells what expires, or is too much: it is gone when its time has come. */
  sweep(): void {
    const { deadLetterExchange, maxLength, overflow } = this.settings;
    if (deadLetterExchange !== undefined) return;
    for (const message of this.messages)
      if (message.state === 'waiting' && this.isOld(message, -TOLERANCE_MS)) message.state = 'gone';
    if (maxLength === undefined || overflow !== 'drop-head') return;
    const waiting = this.ready().sort((a, b) => b.priority - a.priority || a.offset - b.offset);
    for (const message of waiting.slice(0, Math.max(0, waiting.length - maxLength)))
      message.state = 'gone';
  }

  ready(): ModelMessage[] {
    return this.messages.filter((each) => each.state === 'waiting' && this.isDue(each));
  }

  /** Ready, and nothing is in its way. */
  deliverable(): ModelMessage[] {
    return this.messages.filter(
      (each) =>
        each.state === 'waiting' &&
        this.isDue(each, -TOLERANCE_MS) &&
        !this.isOld(each, TOLERANCE_MS) &&
        !this.isBlocked(each),
    );
  }

  /** Messages whose time is so near that either may be. */
  get isBlurred(): boolean {
    const nowMs = this.nowMs();
    return this.messages.some(
      ({ state, dueAtMs, expiresAtMs }) =>
        state !== 'gone' &&
        (Math.abs(dueAtMs - nowMs) <= TOLERANCE_MS ||
          Math.abs(expiresAtMs - nowMs) <= TOLERANCE_MS),
    );
  }

  /** Everything that was on its way has arrived. */
  settleIn(): void {
    for (const message of this.messages)
      if (message.state === 'arriving') message.state = 'waiting';
  }

  /** A start: what was with somebody is there again, and what the state forgot too. */
  restarted(state: PlainState, isCrash: boolean, due: (message: ModelMessage) => number): void {
    for (const message of this.messages) {
      if (state.isSettled(message.offset)) {
        const mayBeGone = message.state === 'gone' || this.isOld(message, TOLERANCE_MS);
        if (!mayBeGone) this.fail(`${message.text} was settled by nobody`);
        message.state = 'gone';
        continue;
      }
      if (message.state === 'gone' && !isCrash) this.fail(`${message.text} is settled no more`);
      message.state = 'waiting';
      message.count = state.countOf(message.offset);
      message.dueAtMs = due(message);
      if (isCrash || message.offset < state.next) message.isUncertain = true;
    }
  }
}
