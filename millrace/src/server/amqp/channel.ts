/**
 * One channel of a connection: whose turn it is, and how it ends.
 *
 * Invariants
 * - Methods take effect in the order in which they came. One that takes time (declaring, get, commit) makes those behind it on this
 *   channel wait; other channels do not notice.
 * - What is published is appended before any later method of the channel that could see it.
 * - After we have closed it, everything but `close` and `close-ok` is ignored until the client has answered.
 * - When it ends its consumers are gone and its messages are back in their queues before anybody is told. Of a connection that we end the
 *   client is told at once: very many messages go back in pieces.
 */
import { assert } from '../../core/errors.ts';
import type { Content } from '../../wire/amqp/frames.ts';
import {
  type AmqpMethod,
  type ContentMethod,
  methodEntry,
  type MethodName,
  type MethodOf,
} from '../../wire/amqp/methods.ts';
import { AmqpFault } from '../../wire/amqp/reply-codes.ts';
import { flow } from './20-channel.ts';
import { bindExchange, declareExchange, deleteExchange, unbindExchange } from './40-exchange.ts';
import { bindQueue, declareQueue, deleteQueue, purgeQueue, unbindQueue } from './50-queue.ts';
import { cancel, consume, get, qos } from './60-basic-consume.ts';
import { publish } from './60-basic-publish.ts';
import { ack, nack, recover, reject, release } from './60-basic-settle.ts';
import { selectConfirms } from './85-confirm.ts';
import { commit, rollback, selectTransactions } from './90-tx.ts';
import { ChannelState } from './channel-state.ts';
import type { AmqpSession } from './session.ts';

/** What a method that waits is counted as, beside its content. */
const WAITING_METHOD_BYTES = 256;

type Handler<Method extends AmqpMethod = AmqpMethod> = (
  channel: ChannelState,
  method: Method,
) => Promise<void> | void;

const HANDLERS: { readonly [Name in MethodName]?: Handler<MethodOf<Name>> } = {
  'access.request': (channel) => channel.answer({ name: 'access.request-ok', ticket: 1 }),
  'basic.ack': ack,
  'basic.cancel': cancel,
  'basic.cancel-ok': ignore,
  'basic.consume': consume,
  'basic.get': get,
  'basic.nack': nack,
  'basic.qos': qos,
  'basic.recover': recover,
  'basic.recover-async': recover,
  'basic.reject': reject,
  'basic.release': release,
  'channel.close-ok': ignore,
  'channel.flow': flow,
  'channel.flow-ok': ignore,
  'channel.open': () => {
    throw new AmqpFault('CHANNEL_ERROR', "second 'channel.open' seen");
  },
  'confirm.select': selectConfirms,
  'exchange.bind': bindExchange,
  'exchange.declare': declareExchange,
  'exchange.delete': deleteExchange,
  'exchange.unbind': unbindExchange,
  'queue.bind': bindQueue,
  'queue.declare': declareQueue,
  'queue.delete': deleteQueue,
  'queue.purge': purgeQueue,
  'queue.unbind': unbindQueue,
  'tx.commit': commit,
  'tx.rollback': rollback,
  'tx.select': selectTransactions,
};

/** Of answers to what the client was asked, or to nothing. */
function ignore(): void {}

interface Waiting {
  readonly method: AmqpMethod;
  /** Of a method that has one, with memory of its own. */
  readonly content: Content | undefined;
  readonly bytes: number;
}

export interface ChannelOptions {
  readonly session: AmqpSession;
  readonly number: number;
  /** The client has closed it, or has answered that we have. */
  readonly onClosed: () => void;
  /** Bytes more, or less, that wait. */
  readonly onWaiting: (bytes: number) => void;
}

export class Channel {
  readonly state: ChannelState;
  private readonly options: ChannelOptions;
  private readonly waiting: Waiting[] = [];
  private isDown = false;
  /** Settles when what takes time is done. Never rejects. */
  private running: Promise<void> | undefined;
  /** The same of its messages, which go back to their queues. */
  private returning: Promise<void> | undefined;

  constructor(options: ChannelOptions) {
    this.options = options;
    this.state = new ChannelState(options.session, options.number);
  }

  /** What takes time, if anything: whoever tears a connection down waits for it. */
  get settled(): Promise<void> | undefined {
    return this.running === undefined && this.returning === undefined ? undefined : this.whenDone();
  }

  /** Resolves when all that has come is done. */
  async whenDone(): Promise<void> {
    while (this.running !== undefined) await this.running;
    await this.returning;
  }

  /** @throws {AmqpFault} */
  method(method: AmqpMethod): void {
    if (!this.state.isOpen) this.whileClosing(method);
    else if (this.running === undefined) this.begin(method, undefined);
    else this.wait({ method, content: undefined, bytes: WAITING_METHOD_BYTES });
  }

  /** @throws {AmqpFault} */
  content(method: ContentMethod, content: Content): void {
    if (!this.state.isOpen) return;
    if (this.running === undefined) {
      this.begin(method, content);
      return;
    }
    const properties = Buffer.from(content.properties);
    const body = content.isOwned ? content.body : Buffer.from(content.body);
    const bytes = WAITING_METHOD_BYTES + properties.length + body.length;
    this.wait({ method, content: { properties, body, isOwned: true }, bytes });
  }

  /** Closes it because of what the client did. */
  fault(fault: AmqpFault): void {
    const { state, options } = this;
    if (!state.isOpen) return;
    const { code, replyText, classId, methodId } = fault;
    this.tearDown();
    this.whenBack(() => {
      options.session.output.method(state.number, {
        name: 'channel.close',
        replyCode: code,
        replyText,
        classId,
        methodId,
      });
    });
  }

  /** Nothing more is delivered or answered. First for all channels of a connection, so that none is given what another one gives back. */
  silence(): void {
    this.state.isOpen = false;
    this.dropWaiting();
  }

  /** Cancels its consumers and gives its messages back, in their order. Idempotent. */
  tearDown(): void {
    const { state, options } = this;
    if (this.isDown) return;
    this.isDown = true;
    this.silence();
    const { vhost, shared } = options.session;
    if (state.reply !== undefined) shared.replies.unregister(state.reply.name);
    const consumers = [...state.consumers.values()];
    state.consumers.clear();
    for (const consumer of consumers) consumer.queue.cancel(consumer);
    for (const { tags, deliveries } of state.transaction?.settlements ?? [])
      state.unacked.restore(tags, deliveries);
    this.returning = shared.settling.settle(state.unacked.takeAll(), 'release');
    this.whenBack(() => {
      for (const { queue } of consumers) vhost.consumersChanged(queue);
    });
  }

  /** Runs `next` when its messages are back in their queues: now, unless they are very many. */
  private whenBack(next: () => void): void {
    if (this.returning === undefined) next();
    else this.returning = this.after(this.returning, next);
  }

  /** Never rejects. */
  private async after(returning: Promise<void>, next: () => void): Promise<void> {
    try {
      await returning;
    } catch (error) {
      const { logger } = this.options.session.shared;
      logger.error('messages of a channel that has ended could not go back', { error });
    }
    next();
  }

  private whileClosing(method: AmqpMethod): void {
    if (method.name === 'channel.close-ok') this.options.onClosed();
    if (method.name === 'channel.close')
      this.options.session.output.method(this.state.number, { name: 'channel.close-ok' });
  }

  private wait(waiting: Waiting): void {
    this.waiting.push(waiting);
    this.options.onWaiting(waiting.bytes);
  }

  private dropWaiting(): void {
    let bytes = 0;
    for (const each of this.waiting) bytes += each.bytes;
    this.waiting.length = 0;
    if (bytes > 0) this.options.onWaiting(-bytes);
  }

  private begin(method: AmqpMethod, content: Content | undefined): void {
    if (isObserver(method)) this.options.session.publisher.commit();
    const outcome = this.dispatch(method, content);
    if (outcome === undefined) return;
    const { name } = method;
    this.running = outcome.then(
      () => this.goOn(),
      (error: unknown) => this.failed(name, error),
    );
  }

  /** What took time is done: those that waited have their turn. */
  private goOn(): void {
    this.running = undefined;
    const { publisher } = this.options.session;
    while (this.running === undefined && this.state.isOpen) {
      const next = this.waiting.shift();
      if (next === undefined) break;
      this.options.onWaiting(-next.bytes);
      try {
        this.begin(next.method, next.content);
      } catch (error) {
        this.failed(next.method.name, error);
      }
    }
    publisher.commit();
  }

  private failed(name: AmqpMethod['name'], error: unknown): void {
    this.running = undefined;
    const { session, number } = this.options;
    const { classId, methodId } = methodEntry(name);
    const fault =
      error instanceof AmqpFault ? error : new AmqpFault('INTERNAL_ERROR', 'the broker has failed');
    if (fault !== error)
      session.shared.logger.error('a method of AMQP failed', { method: name, error });
    session.fault(number, fault.about(classId, methodId));
  }

  private dispatch(method: AmqpMethod, content: Content | undefined): Promise<void> | void {
    const { state } = this;
    if (method.name === 'basic.publish') {
      assert(content !== undefined, 'what is published has a content');
      return publish(state, method, content);
    }
    if (method.name === 'channel.close') return this.closed();
    const handler = HANDLERS[method.name] as Handler | undefined;
    if (handler === undefined) throw new AmqpFault('COMMAND_INVALID', 'unimplemented method');
    return handler(state, method);
  }

  /** The client closes it. */
  private closed(): void {
    const { session, number, onClosed } = this.options;
    this.tearDown();
    this.whenBack(() => {
      onClosed();
      session.output.method(number, { name: 'channel.close-ok' });
    });
  }
}

/** Whether what was published before has to be appended first. Settling sees nothing of it. */
function isObserver({ name }: AmqpMethod): boolean {
  return name !== 'basic.publish' && name !== 'basic.ack' && name !== 'basic.nack';
}
