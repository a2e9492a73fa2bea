/** What the suites with amqplib share: connections that are closed by themselves, and waiting for messages and failures. */
import { once } from 'node:events';
import {
  type Channel,
  type ChannelModel,
  type ConfirmChannel,
  connect,
  type ConsumeMessage,
  type GetMessage,
  type Message,
  type Options,
} from 'amqplib';
import { type AmqpUnderTest, startAmqpUnderTest } from './amqp-under-test.ts';

/** An error that amqplib makes of a close: with the code, and the method that was at fault. */
export interface AmqpFailure extends Error {
  readonly code: number;
  readonly classId: number;
  readonly methodId: number;
}

export class AmqplibKit {
  private broker: AmqpUnderTest | undefined;
  private readonly open: ChannelModel[] = [];

  /** Before all tests of a file. */
  async start(args: readonly string[] = []): Promise<void> {
    this.broker = await startAmqpUnderTest(args);
  }

  /** After all of them. Closes what is open. */
  async stop(): Promise<void> {
    await this.closeAll();
    await this.broker?.stop();
  }

  get under(): AmqpUnderTest {
    if (this.broker === undefined) throw new Error('the broker is not started');
    return this.broker;
  }

  async connection(options: { readonly url?: string } = {}): Promise<ChannelModel> {
    const model = await connect(options.url ?? this.under.url);
    model.on('error', () => {});
    this.open.push(model);
    return model;
  }

  /** A channel of a connection of its own. */
  async channel(): Promise<Channel> {
    return quiet(await (await this.connection()).createChannel());
  }

  async confirmChannel(): Promise<ConfirmChannel> {
    return quiet(await (await this.connection()).createConfirmChannel());
  }

  /** After each test, unless tests run beside each other. */
  async closeAll(): Promise<void> {
    await Promise.all(this.open.splice(0).map((model) => model.close().catch(() => {})));
  }
}

/** Its errors are looked at by whoever cares for them: `failure`. */
export function quiet<Kind extends Channel>(channel: Kind): Kind {
  channel.on('error', () => {});
  return channel;
}

/** Resolves with the error that closes the channel (or the connection). */
export async function failure(of: Channel | ChannelModel): Promise<AmqpFailure> {
  const [error] = (await once(of, 'error')) as [AmqpFailure];
  return error;
}

/** How a call that has to fail fails: by the close of its channel. */
export async function failureOf(channel: Channel, call: () => unknown): Promise<string> {
  const failed = failure(channel);
  const called = Promise.resolve()
    .then(call)
    .then(
      () => {},
      () => {},
    );
  const { code, classId, methodId } = await failed;
  await called;
  return `${code} ${classId}.${methodId}`;
}

/** Messages of a consumer, to be waited for. */
export class Inbox {
  readonly messages: ConsumeMessage[] = [];
  /** The consumer was cancelled by the broker. */
  isCancelled = false;
  tag = '';
  private readonly waiters: (() => void)[] = [];

  static async of(channel: Channel, queue: string, options?: Options.Consume): Promise<Inbox> {
    const inbox = new Inbox();
    const { consumerTag } = await channel.consume(queue, (message) => inbox.take(message), options);
    inbox.tag = consumerTag;
    return inbox;
  }

  take(message: ConsumeMessage | null): void {
    if (message === null) this.isCancelled = true;
    else this.messages.push(message);
    for (const waiter of this.waiters.splice(0)) waiter();
  }

  /** Resolves when so many have come, with all of them. */
  async count(count: number): Promise<ConsumeMessage[]> {
    while (this.messages.length < count) await this.something();
    return this.messages;
  }

  async next(): Promise<ConsumeMessage> {
    await this.count(1);
    return this.messages.shift() as ConsumeMessage;
  }

  async cancelled(): Promise<void> {
    while (!this.isCancelled) await this.something();
  }

  get bodies(): string[] {
    return this.messages.map(text);
  }

  private something(): Promise<void> {
    return new Promise((resolve) => this.waiters.push(resolve));
  }
}

export const text = (message: Message): string => message.content.toString();

/** What is in the queue now, taken. */
export async function drain(channel: Channel, queue: string): Promise<GetMessage[]> {
  const all: GetMessage[] = [];
  for (;;) {
    const message = await channel.get(queue, { noAck: true });
    if (message === false) return all;
    all.push(message);
  }
}

/** Looks again until the queue has so many ready messages: where a broker does something in its own time. */
export async function untilCount(channel: Channel, queue: string, count: number): Promise<void> {
  while ((await channel.checkQueue(queue)).messageCount !== count)
    await new Promise((resolve) => setTimeout(resolve, 10));
}
