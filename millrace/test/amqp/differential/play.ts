/**
 * Plays a script of AMQP methods to a broker, and writes down what a client gets to see: one line for an event, under the step that
 * brought it. What two brokers may do differently without anybody noticing is taken out: names that they choose, times, how many confirms
 * go into one, the wording of errors.
 */
import { type AmqpEvent, type Fields, RawAmqp } from '../raw-amqp.ts';

/** On connection `a`, channel 1: `a1`. */
export type On = string;

export type Step = (
  | { readonly kind: 'say'; readonly on: On; readonly method: string; readonly fields: Fields }
  | {
      readonly kind: 'publish';
      readonly on: On;
      readonly fields: Fields;
      readonly properties: Fields;
      readonly body: string;
    }
  /** Ends the socket of a connection, without a word. */
  | { readonly kind: 'cut'; readonly on: On }
  /** Waits until a queue has so many ready messages: for what a broker does in its own time. */
  | { readonly kind: 'until'; readonly queue: string; readonly count: number }
) & {
  /** What is to be seen instead of what RabbitMQ 3.10 shows, and why. */
  readonly instead?: { readonly why: string; readonly lines: readonly string[] };
};

export type Script = readonly Step[];

/** The lines of every step. */
export type Seen = readonly (readonly string[])[];

export interface PlayOptions {
  /** Lines that are to come per step: it waits for so many. undefined: it waits until nothing has come for `quietMs`. */
  readonly expected?: Seen;
  readonly quietMs?: number;
}

/** Methods that are answered by nothing, or by a close. */
const NEVER_ANSWERED = new Set(['BasicAck', 'BasicNack', 'BasicReject', 'BasicRecoverAsync']);
const QUIET_MS = 80;
/** How long it waits for lines that ought to come. */
const PATIENCE_MS = 20_000;
/** A channel that no script uses: questions that have an answer in any case. */
const OWN_CHANNEL = 2_000;

export async function play(
  at: { readonly host: string; readonly port: number },
  script: Script,
  options: PlayOptions = {},
): Promise<Seen> {
  const player = new Player(at);
  try {
    const seen: string[][] = [];
    for (const [index, step] of script.entries()) {
      const isAnswered = await player.do(step);
      const expected = options.expected?.[index]?.length;
      seen.push(await player.lines(expected, isAnswered, options.quietMs));
    }
    return seen;
  } finally {
    await player.end(script);
  }
}

class Player {
  private readonly at: { readonly host: string; readonly port: number };
  private readonly connections = new Map<string, RawAmqp>();
  private readonly names = new Names();

  constructor(at: { readonly host: string; readonly port: number }) {
    this.at = at;
  }

  /** @returns whether there is an answer, or a close, in any case */
  async do(step: Step): Promise<boolean> {
    if (step.kind === 'until') {
      await this.until(step.queue, step.count);
      return false;
    }
    const { client, channel } = await this.place(step.on);
    if (step.kind === 'cut') {
      client.socket.destroy();
      this.connections.delete(step.on.slice(0, 1));
      return false;
    }
    if (step.kind === 'say') {
      client.send(channel, step.method, this.real(step.fields));
      if (step.method === 'ConfirmSelect') this.confirming.add(step.on);
      return step.fields['nowait'] !== true && !NEVER_ANSWERED.has(step.method);
    }
    const body = Buffer.from(step.body);
    client.publish(channel, this.real(step.fields), this.real(step.properties), body);
    return this.confirming.has(step.on);
  }

  /** What has come since the last step. */
  async lines(
    expected: number | undefined,
    isAnswered: boolean,
    quietMs = QUIET_MS,
  ): Promise<string[]> {
    let lines: string[] = [];
    const deadline = performance.now() + PATIENCE_MS;
    const collect = (): boolean => {
      const found = this.take();
      lines = withConfirms([...lines, ...found]);
      return found.length > 0;
    };
    if (expected === undefined) {
      for (;;) {
        await pause(quietMs);
        const isQuiet = !collect() && (lines.length > 0 || !isAnswered);
        if (isQuiet) break;
        if (performance.now() < deadline) continue;
        // Whoever went on would write the answer down under a later step.
        if (isAnswered && lines.length === 0) throw new Error('the step was never answered');
        break;
      }
    } else {
      const least = Math.max(expected, isAnswered ? 1 : 0);
      for (collect(); lines.length < least && performance.now() < deadline; collect())
        await pause(2);
    }
    // What was to come has come: an answer behind it brings whatever else there is.
    await Promise.all([...this.connections.values()].map(async (client) => this.ask(client)));
    collect();
    // Within a channel the order counts; between channels it is chance.
    return lines.sort((a, b) => onOf(a).localeCompare(onOf(b)));
  }

  /** Deletes what the script has made, and closes. */
  async end(script: Script): Promise<void> {
    for (const client of this.connections.values()) await client.close().catch(() => {});
    const client = await RawAmqp.open(this.at);
    for (const step of script) {
      if (step.kind !== 'say' || step.fields['passive'] === true) continue;
      const { queue, exchange } = step.fields as Readonly<Record<string, string>>;
      const isQueue = step.method === 'QueueDeclare' && queue !== '';
      if (!isQueue && step.method !== 'ExchangeDeclare') continue;
      const deletes = isQueue
        ? client.call(1, 'QueueDelete', { queue })
        : client.call(1, 'ExchangeDelete', { exchange });
      // A name that is kept for the broker cannot be deleted, and was not made.
      await deletes.catch(async () => {
        client.send(1, 'ChannelCloseOk');
        await client.call(1, 'ChannelOpen');
        client.events.splice(0);
      });
    }
    await client.close();
  }

  private async place(on: On): Promise<{ readonly client: RawAmqp; readonly channel: number }> {
    const name = on.slice(0, 1);
    const channel = Number(on.slice(1));
    let client = this.connections.get(name);
    if (client === undefined || client.ended) {
      client = await RawAmqp.open(this.at, {}, [OWN_CHANNEL]);
      this.connections.set(name, client);
      this.open.set(client, new Set([0]));
    }
    const open = this.open.get(client);
    if (open !== undefined && !open.has(channel)) {
      open.add(channel);
      await client.call(channel, 'ChannelOpen');
    }
    return { client, channel };
  }

  private readonly open = new Map<RawAmqp, Set<number>>();
  /** Channels that want confirms. */
  private readonly confirming = new Set<On>();

  private async ask(client: RawAmqp): Promise<void> {
    if (!client.ended) await client.call(OWN_CHANNEL, 'BasicQos', {}).catch(() => {});
  }

  private async until(queue: string, count: number): Promise<void> {
    const { client } = await this.place('a1');
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const { messageCount } = await client.call(OWN_CHANNEL, 'QueueDeclare', {
        queue,
        passive: true,
      });
      if (messageCount === count) return;
      if (performance.now() > deadline)
        throw new Error(`${queue} has ${String(messageCount)} messages, and not ${count}`);
      await pause(5);
    }
  }

  private take(): string[] {
    const lines: string[] = [];
    for (const [name, client] of this.connections) {
      const events = client.events.splice(0);
      for (const event of events) {
        this.answerClose(client, event);
        lines.push(`${name}${event.channel} ${this.line(event)}`);
      }
      if (client.ended) {
        this.connections.delete(name);
        for (const on of this.confirming) if (on.startsWith(name)) this.confirming.delete(on);
        lines.push(`${name} ended`);
      }
    }
    return lines;
  }

  private answerClose(client: RawAmqp, { method, channel }: AmqpEvent): void {
    if (method === 'ConnectionClose') client.send(0, 'ConnectionCloseOk');
    if (method === 'ChannelClose') client.send(channel, 'ChannelCloseOk');
    if (method !== 'ChannelClose' && method !== 'ChannelCloseOk') return;
    this.open.get(client)?.delete(channel);
    for (const [name, each] of this.connections)
      if (each === client) this.confirming.delete(`${name}${channel}`);
  }

  private line({ method, fields, properties, body }: AmqpEvent): string {
    const shown = this.names.shown(fields);
    if (typeof shown['replyText'] === 'string')
      shown['replyText'] = shown['replyText'].split(' - ', 1)[0];
    const parts = [method, ...Object.entries(shown).map(([key, value]) => `${key}=${text(value)}`)];
    if (properties !== undefined)
      parts.push(text(withoutEmptyHeaders(this.names.shown(properties))));
    if (body !== undefined)
      parts.push(text(body.length > 200 ? `${body.length} bytes` : body.toString()));
    return parts.join(' ');
  }

  /** `<queue 1>`: what the broker has called the first queue that it named. */
  private real(fields: Fields): Fields {
    return this.names.real(fields);
  }
}

/** Names that the broker chooses, and what they are called in scripts and lines. */
class Names {
  private readonly known = new Map<string, string>();

  shown(fields: Fields): Record<string, unknown> {
    return this.mapped(fields, (value) => this.shownName(value));
  }

  real(fields: Fields): Fields {
    const back = new Map([...this.known].map(([real, shown]) => [shown, real]));
    return this.mapped(fields, (value) => back.get(value) ?? value);
  }

  private mapped(fields: Fields, change: (value: string) => string): Record<string, unknown> {
    const walk = (value: unknown): unknown => {
      if (typeof value === 'string') return change(value);
      if (Array.isArray(value)) return value.map(walk);
      if (value === null || typeof value !== 'object' || Buffer.isBuffer(value)) return value;
      return Object.fromEntries(
        Object.entries(value)
          .filter(([key]) => !OF_ONE_BROKER.test(key))
          // The order of a table says nothing.
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([key, inner]) => [key, key === 'time' ? '<time>' : walk(inner)]),
      );
    };
    return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, walk(value)]));
  }

  private shownName(value: string): string {
    const kind = value.startsWith('amq.gen-')
      ? 'queue'
      : value.startsWith('amq.ctag-')
        ? 'tag'
        : value.startsWith('amq.rabbitmq.reply-to.')
          ? 'reply'
          : undefined;
    if (kind === undefined) return value;
    const known = this.known.get(value);
    if (known !== undefined) return known;
    const count = [...this.known.values()].filter((name) => name.startsWith(`<${kind}`)).length;
    this.known.set(value, `<${kind} ${count + 1}>`);
    return `<${kind} ${count + 1}>`;
  }
}

/**
 * Headers that one of them adds: RabbitMQ 4 tells the last death, too; and here queues of all types count what came back, RabbitMQ's only
 * those of type quorum (3.10 also when it has not come back yet). The suites look at them.
 */
const OF_ONE_BROKER = /^x-last-death-|^x-delivery-count$/;

const CONFIRM = /^(\w+) Basic(Ack|Nack) deliveryTag=(\d+) multiple=(true|false)/;

/** Confirms of a channel, however they were put together, as one line: the highest that is confirmed. */
function withConfirms(lines: readonly string[]): string[] {
  const rest: string[] = [];
  const last = new Map<string, number>();
  for (const line of lines) {
    const confirm = CONFIRM.exec(line);
    const merged = /^(\w+) (Ack|Nack)ed (\d+)$/.exec(line);
    const [, on, how, tag] = confirm ?? merged ?? [];
    if (on === undefined || how === undefined) rest.push(line);
    else last.set(`${on} ${how}ed`, Math.max(Number(tag), last.get(`${on} ${how}ed`) ?? 0));
  }
  return [...rest, ...[...last].map(([what, tag]) => `${what} ${tag}`)];
}

/** What is left of a table when its only header was taken out. */
function withoutEmptyHeaders(properties: Record<string, unknown>): Record<string, unknown> {
  const { headers, ...rest } = properties;
  const isEmpty = headers !== undefined && Object.keys(headers as object).length === 0;
  return isEmpty || headers === undefined ? rest : { headers, ...rest };
}

function onOf(line: string): string {
  return line.slice(0, line.indexOf(' '));
}

function text(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' &&
    inner !== null &&
    (inner as { readonly type?: unknown }).type === 'Buffer'
      ? Buffer.from((inner as { readonly data: number[] }).data).toString('latin1')
      : inner,
  );
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
