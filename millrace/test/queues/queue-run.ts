/** A queue and a naive one beside it, taken through steps; after each both must say the same. */
import assert from 'node:assert/strict';
import type { Delivery, QueueSettings } from '../../src/broker/queues/queue.ts';
import { encodeProperties } from '../../src/wire/amqp/properties.ts';
import { encodeBatch } from '../../src/wire/kafka/records/record-batch-builder.ts';
import { QueueFixture, SETTINGS, TestConsumer } from './queue-fixture.ts';
import { type ModelMessage, QueueModel } from './queue-model.ts';

export interface Draft {
  readonly priority: number;
  readonly key: number | null;
  readonly expiration: string | undefined;
  readonly delayMs: number;
}

export type Step =
  | { readonly kind: 'publish'; readonly drafts: readonly Draft[] }
  | { readonly kind: 'foreign'; readonly count: number }
  | {
      readonly kind: 'consume';
      readonly prefetch: number;
      readonly noAck: boolean;
      readonly priority: number;
    }
  | { readonly kind: 'cancel' | 'get' | 'purge' | 'flush' | 'restart' | 'crash' | 'forget' }
  | {
      readonly kind: 'settle';
      readonly how: 'accept' | 'release' | 'reject';
      readonly from: number;
      readonly count: number;
      readonly delayMs: number;
    }
  | { readonly kind: 'wait'; readonly ms: number };

export class QueueRun {
  readonly fixture: QueueFixture;
  readonly model: QueueModel;
  private readonly settings: QueueSettings;
  private consumers: TestConsumer[] = [];
  private held: Delivery[] = [];
  private nextText = 0;
  private readonly delays = new Map<ModelMessage, number>();

  constructor(given: Partial<QueueSettings>) {
    this.settings = { ...SETTINGS, ...given };
    this.fixture = new QueueFixture(given);
    this.model = new QueueModel(this.settings, () => this.fixture.machine.wallMs());
    this.fixture.onDeadLetter = ({ text, reason }) => this.model.deadLetter(text, reason);
  }

  async all(steps: readonly Step[]): Promise<void> {
    await this.fixture.open();
    for (const each of steps) {
      await this.one(each);
      await this.check();
    }
  }

  private async one(each: Step): Promise<void> {
    const { fixture, model } = this;
    const { queue } = fixture;
    switch (each.kind) {
      case 'publish':
        return this.publish(each.drafts);
      case 'foreign':
        return this.foreign(each.count);
      case 'consume': {
        const { prefetch, noAck, priority } = each;
        const consumer = new TestConsumer({ prefetch, noAck, priority });
        consumer.onDelivery = (delivery) => this.delivered(delivery, noAck);
        this.consumers.push(consumer);
        queue.consume(consumer);
        return fixture.idle();
      }
      case 'cancel': {
        const consumer = this.consumers.shift();
        if (consumer !== undefined) queue.cancel(consumer);
        return fixture.idle();
      }
      case 'get': {
        const delivery = await fixture.get();
        if (delivery !== undefined) this.delivered(delivery, false);
        else if (this.settings.messageTtlMs !== 0 && model.deliverable().length > 0)
          model.problems.push(`nothing was got, and ${model.deliverable()[0]?.text} was there`);
        return undefined;
      }
      case 'settle':
        return this.settle(each);
      case 'purge': {
        model.sweep();
        const ready = model.ready().length;
        const count = await fixture.machine.run(queue.purge());
        if (count !== ready && !model.isBlurred)
          model.problems.push(`${count} were purged, not ${ready}`);
        model.purged();
        return undefined;
      }
      case 'flush':
        return fixture.machine.run(queue.flush());
      case 'forget':
        fixture.memory.shrink(0);
        return undefined;
      case 'restart':
        await fixture.restart(() => this.restarted(false));
        return undefined;
      case 'crash':
        await fixture.crash(() => this.restarted(true));
        return undefined;
      case 'wait':
        return fixture.idle(each.ms);
    }
  }

  private delivered(delivery: Delivery, noAck: boolean): void {
    this.model.delivered(delivery, noAck);
    if (!noAck) this.held.push(delivery);
  }

  private async publish(drafts: readonly Draft[]): Promise<void> {
    const { fixture, model } = this;
    const nowMs = fixture.machine.wallMs();
    const room = this.roomFor(drafts.length);
    const base = fixture.log.logEndOffset;
    const messages = drafts.map(({ priority, key, expiration, delayMs: wanted }) => {
      const delayMs = this.settings.keyOrdered ? 0 : wanted;
      return {
        ...fixture.message(`m${this.nextText++}`),
        key: key === null ? null : Buffer.from(`k${key}`),
        properties: encodeProperties({
          ...(priority > 0 ? { priority } : {}),
          ...(expiration === undefined ? {} : { expiration }),
          ...(delayMs > 0 ? { headers: { 'x-delay': delayMs } } : {}),
        }),
      };
    });
    const added = messages.slice(0, room).map((message, index): ModelMessage => {
      const { priority, key, expiration, delayMs: wanted } = drafts[index] as Draft;
      const delayMs = this.settings.keyOrdered ? 0 : wanted;
      const ttlMs = Math.min(
        this.settings.messageTtlMs ?? Infinity,
        expiration === undefined ? Infinity : Number(expiration),
      );
      const added: ModelMessage = {
        text: message.body.toString(),
        offset: base + index,
        priority: Math.min(priority, this.settings.maxPriority ?? 0),
        key: key === null ? undefined : `k${key}`,
        expiresAtMs: nowMs + delayMs + ttlMs,
        isImmediate: ttlMs === 0,
        dueAtMs: nowMs + delayMs,
        count: 0,
        wasOut: false,
        isUncertain: false,
        state: 'arriving',
      };
      this.delays.set(added, nowMs + delayMs);
      return added;
    });
    for (const each of added) model.add(each);
    const { refused, durable } = fixture.queue.append(messages);
    if (refused.length !== messages.length - added.length)
      model.problems.push(`${refused.length} of ${messages.length} were refused, room was ${room}`);
    if (durable !== undefined) await fixture.machine.run(durable);
    await fixture.idle();
  }

  /** Of queues that refuse: without consumers, so that it is certain. */
  private roomFor(count: number): number {
    const { maxLength, overflow } = this.settings;
    if (maxLength === undefined || overflow === 'drop-head') return count;
    const credit = this.consumers.reduce(
      (sum, { prefetch, noAck, deliveries }) =>
        sum +
        (noAck || prefetch === 0
          ? 1000
          : prefetch - deliveries.filter((each) => this.held.includes(each)).length),
      0,
    );
    return Math.max(
      0,
      Math.min(
        count,
        maxLength -
          Math.max(
            0,
            this.fixture.queue.counts.ready -
              (this.settings.singleActiveConsumer ? this.activeCredit() : credit),
          ),
      ),
    );
  }

  private activeCredit(): number {
    return (this.fixture.queue as unknown as { consumers: { credit: number } }).consumers.credit;
  }

  private async foreign(count: number): Promise<void> {
    const { fixture, model } = this;
    const nowMs = fixture.machine.wallMs();
    const texts = Array.from({ length: count }, () => `f${this.nextText++}`);
    const base = fixture.log.logEndOffset;
    for (const [index, text] of texts.entries()) {
      const dueAtMs = nowMs;
      const added: ModelMessage = {
        text,
        offset: base + index,
        priority: 0,
        key: undefined,
        expiresAtMs: nowMs + (this.settings.messageTtlMs ?? Infinity),
        isImmediate: false,
        dueAtMs,
        count: 0,
        wasOut: false,
        isUncertain: false,
        state: 'arriving',
      };
      this.delays.set(added, dueAtMs);
      model.add(added);
    }
    const records = texts.map((value) => ({ timestamp: nowMs, key: null, value }));
    const appended = fixture.log.append(encodeBatch(records), { origin: 'client' });
    assert.ok(appended.ok);
    await fixture.machine.run(fixture.log.whenDurable(fixture.log.logEndOffset));
    await fixture.idle();
  }

  private async settle(each: Extract<Step, { kind: 'settle' }>): Promise<void> {
    const { fixture, model } = this;
    const chosen = this.held.splice(each.from, each.count);
    const delayMs = this.settings.keyOrdered ? 0 : each.delayMs;
    // As they are told while they are settled.
    const texts = chosen.map((delivery) =>
      model.messages.find(({ offset }) => offset === delivery.offset),
    );
    for (const message of texts) {
      if (message === undefined) continue;
      if (each.how === 'accept') model.accepted(message.text);
      else if (each.how === 'release') model.released(message.text, delayMs);
      else if (this.settings.deadLetterExchange === undefined) model.accepted(message.text);
    }
    fixture.queue.settle(chosen, each.how, { delayMs });
    await fixture.idle();
  }

  private restarted(isCrash: boolean): void {
    const state = this.fixture.states.state(this.fixture.queue.id);
    this.held = [];
    this.consumers = [];
    if (state === undefined) return;
    // What was given back for later waits on.
    this.model.restarted(state, isCrash, (message) =>
      Math.max(this.delays.get(message) ?? 0, state.dueOf(message.offset)),
    );
  }

  private async check(): Promise<void> {
    const { fixture, model } = this;
    await fixture.idle();
    model.settleIn();
    model.sweep();
    assert.deepEqual(model.problems, []);
    if (model.isBlurred) return;
    const { counts } = fixture.queue;
    const ready = model.ready();
    const bytes = (messages: readonly ModelMessage[]): number =>
      messages.reduce((sum, { text }) => sum + text.length, 0);
    assert.deepEqual(
      {
        ready: counts.ready,
        readyBytes: counts.readyBytes,
        unacknowledged: counts.unacknowledged,
        delayed: counts.delayed,
      },
      {
        ready: ready.length,
        readyBytes: bytes(ready),
        unacknowledged: model.count('held'),
        delayed: model.count('waiting') - ready.length,
      },
    );
    const { maxLength = Infinity, overflow } = this.settings;
    if (overflow === 'drop-head') assert.ok(ready.length <= maxLength, `${ready.length} are ready`);
    const old = ready.filter(({ expiresAtMs }) => expiresAtMs < fixture.machine.wallMs() - 500);
    assert.deepEqual(
      old.map(({ text }) => text),
      [],
      'too old',
    );
    if (this.hasTakers())
      assert.deepEqual(
        model.deliverable().map(({ text }) => text),
        [],
        'nobody has them',
      );
  }

  /** Somebody would take a message. */
  private hasTakers(): boolean {
    return this.activeCredit() > 0;
  }
}
