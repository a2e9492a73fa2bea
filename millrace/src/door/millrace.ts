/** What a program holds that has opened a Millrace, or is connected to one: its records, its topics, its queues, the flows that it runs. */
import type { AmqpClient } from '../client/amqp/client.ts';
import type { QueuePlace } from '../connect/queues/queue.ts';
import { type BodyRead, type QueueOptions, queueSpec } from '../connect/queues/queue-options.ts';
import type { StandardSchema } from '../connect/standard-schema.ts';
import type { StatsdReceiver } from '../connect/statsd/statsd-receiver.ts';
import type { SerdeName } from '../connect/topics/serdes.ts';
import { type Delivery, startDelivery } from '../connect/webhooks/webhook-delivery.ts';
import type { DeliverOptions } from '../connect/webhooks/webhook-options.ts';
import type { JobSummary } from '../engine/batch/job/job-summary.ts';
import { MillraceError } from '../core/errors.ts';
import type { Flow } from '../flow/flow-types.ts';
import type { Serde } from '../flow/serde.ts';
import type { Readable } from '../flow/source.ts';
import type { Log } from '../client/log.ts';
import { type Consumption, type ConsumeOptions, TopicConsumption } from './consumption.ts';
import {
  type FlowGround,
  type FlowHandle,
  type FlowRunOptions,
  runFlowUntil,
  type RunUntilOptions,
  startFlow,
} from './flow-handle.ts';
import { AmqpSession } from './queues/amqp-session.ts';
import { OpenQueue } from './queues/open-queue.ts';
import type { QueueGround } from './queues/queue-ground.ts';
import { QueueLink } from './queues/queue-link.ts';
import type { Queue, QueueWorker } from './queues/queue.ts';
import { RecordProducer } from './record-producer.ts';
import { type NewRecord, portOf, type RecordPlace, type TopicGiven } from './records.ts';
import { type Admin, TopicAdmin } from './topic-admin.ts';

export interface Millrace extends AsyncDisposable {
  /** For people: the directory, or the brokers. */
  readonly label: string;
  /** Where Kafka clients reach it, `host:port`; undefined: nowhere. */
  readonly kafka: string | undefined;
  /** Where its topics and the views of its flows are served over HTTP, `host:port`; undefined: nowhere. */
  readonly http: string | undefined;
  /** What it receives of StatsD; undefined: nothing. */
  readonly statsd: StatsdReceiver | undefined;
  /** Where AMQP clients reach its queues, `host:port`; undefined: nowhere. */
  readonly amqp: string | undefined;
  readonly admin: Admin;
  /**
   * Writes a record, or some. Resolves when they are on the disk, with where they are, in their order; retries write nothing twice. A topic
   * that does not exist is made, as `topic(…)` says. A name stands for a topic of text, to which all else is written as JSON.
   * @throws {MillraceError} ML_SINK_VALUE_INVALID, ML_TIMESTAMP_INVALID: nothing was written; ML_RECORDS_TOO_LARGE, ML_DISK_FULL,
   * ML_CONNECT_FAILED…: some of the records may have been
   * @example
   * const payments = topic('payments', { key: 'string', value: json<Payment>() });
   * const { offset } = await millrace.produce(payments, { key: 'p-1', value: { id: 'p-1', amount: 12 } });
   * await millrace.produce('audit', [{ value: `payment at ${offset}` }, { value: 'done' }]);
   */
  produce<Value, Key, WrittenValue, WrittenKey>(
    topic: TopicGiven<Value, Key, WrittenValue, WrittenKey>,
    record: NewRecord<WrittenValue, WrittenKey>,
  ): Promise<RecordPlace>;
  produce<Value, Key, WrittenValue, WrittenKey>(
    topic: TopicGiven<Value, Key, WrittenValue, WrittenKey>,
    records: readonly NewRecord<WrittenValue, WrittenKey>[],
  ): Promise<readonly RecordPlace[]>;
  /**
   * Reads the records of a topic, one after the other, those of a partition in order: those that were committed, and only those. Without
   * `until` it waits for more.
   * @throws {MillraceError} from the loop: ML_TOPIC_MISSING, ML_INPUT_MALFORMED with topic, partition and offset, ML_OFFSET_OUT_OF_RANGE
   * when records were deleted before they were read
   * @example
   * for await (const { key, value } of millrace.consume(rates, { until: 'now' })) process.stdout.write(`${key} ${value}\n`);
   * @example
   * // As a member of a group: at least once, also when the process dies.
   * await using reading = millrace.consume('audit', { group: 'printers' });
   * for await (const { value } of reading) {
   *   process.stdout.write(`${value}\n`);
   *   if (value === 'done') break; // Not taken: it comes again, unless `await reading.commit()` is called first.
   * }
   */
  consume(topic: string, options?: ConsumeOptions): Consumption<string | null, string | null>;
  consume<Value, Key, WrittenValue, WrittenKey>(
    topic: Exclude<TopicGiven<Value, Key, WrittenValue, WrittenKey>, string>,
    options?: ConsumeOptions,
  ): Consumption<Value, Key>;
  /**
   * Starts a flow that reads topics, without end: exactly once, with its state in this log. Returns at once; the flow ends with `stop`, or
   * with this Millrace.
   * @throws {MillraceError} ML_FLOW_INVALID, ML_PARAMETER_INVALID, ML_CONFIG_INVALID; what comes up later is told by `done`
   * @example
   * const totals = flow('totals', (f) => {
   *   f.readKeyed(rates).count('rates-seen').write(topic('seen', { key: 'string', value: json() }));
   * });
   * await using running = millrace.run(totals, { commitInterval: '50ms' });
   * await running.ready;
   */
  run(flow: Flow, options?: FlowRunOptions): FlowHandle;
  /**
   * Runs a flow, over topics or files, to its end: topics as far as they go now, or as `until` says. Windows close, outputs appear all
   * together. In this process.
   * @throws {MillraceError} what the job has failed with; no output is changed then
   * @example
   * const copy = flow('copy', (f) => f.read(rates).write(files.ndjson('out/rates')));
   * const { status } = await millrace.runUntil(copy, { until: 'now', overwrite: true });
   */
  runUntil(flow: Flow, options?: RunUntilOptions): Promise<JobSummary>;
  /**
   * Opens a queue, by its name or as `queue(…)` describes it. It is made when it is first used and not there, with its dead letters. A queue of
   * which nothing but the name is said is taken as it is found; one of which more is said has to be that (ML_QUEUE_DIFFERS).
   * @throws {MillraceError} ML_FLOW_INVALID for a name or options that cannot be; ML_USAGE when no queues can be reached
   * @example
   * const emails = millrace.queue('emails', { value: json<Email>(), keyOrdered: true });
   * await emails.enqueue({ to: 'ann@example.org', text: 'Welcome' }, { key: 'ann' });
   * await using worker = emails.work(({ to, text }) => deliver(to, text), { concurrency: 4 });
   * const { ready, unacknowledged } = await emails.stats();
   */
  queue<const Value extends SerdeName | Serde<unknown> | StandardSchema | undefined = undefined>(
    name: string,
    options?: QueueOptions<Value>,
  ): Queue<BodyRead<Value>>;
  queue<Value>(place: QueuePlace<Value>): Queue<Value>;
  /**
   * Delivers each record of a topic to an endpoint, as a webhook: at least once, signed, with further attempts for three days, and dead letters
   * then. Returns at once; it ends with `stop`, or with this Millrace, and the next start goes on where it was.
   * @throws {MillraceError} ML_CONFIG_INVALID, ML_WEBHOOK_ADDRESS; what comes up later is told by `done`
   * @example
   * await using hook = millrace.deliver('orders', {
   *   name: 'billing',
   *   to: 'https://billing.example.com/hooks',
   *   secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
   * });
   * const { delivered, retrying } = hook.stats();
   */
  deliver(topic: string | Readable, options: DeliverOptions): Delivery;
  /** Ends the loops over records, stops workers, deliveries and flows, waits for what is being written; then closes the log. Idempotent. */
  close(): Promise<void>;
}

export interface MillraceParts extends FlowGround {
  readonly kafka: string | undefined;
  readonly amqp: string | undefined;
  readonly statsd: StatsdReceiver | undefined;
  /** One more connection to the broker of the queues. */
  readonly connectQueues: () => Promise<AmqpClient>;
}

export function makeMillrace(parts: MillraceParts): Millrace {
  return new LogMillrace(parts);
}

const IN_PROCESS_INSTANCE = 'in-process';

class LogMillrace implements Millrace {
  readonly label: string;
  readonly kafka: string | undefined;
  readonly http: string | undefined;
  readonly amqp: string | undefined;
  readonly statsd: StatsdReceiver | undefined;
  readonly admin: Admin;
  readonly #queues: QueueLink;
  readonly #workers = new Set<QueueWorker>();
  readonly #deliveries = new Set<Delivery>();
  readonly #log: Log;
  readonly #ground: FlowGround;
  readonly #producer: RecordProducer;
  readonly #consumptions = new Set<TopicConsumption>();
  readonly #flows = new Set<FlowHandle>();
  readonly #jobs = new AbortController();
  #closing: Promise<void> | undefined;

  constructor(parts: MillraceParts) {
    const { log, kafka, amqp, connectQueues } = parts;
    this.label = log.label;
    this.kafka = kafka;
    this.amqp = amqp;
    this.#queues = new QueueLink({
      env: log.env,
      connect: async () => new AmqpSession(await connectQueues()),
    });
    this.http = parts.http?.address;
    this.statsd = parts.statsd;
    this.admin = new TopicAdmin(log);
    this.#log = log;
    this.#ground = parts;
    this.#producer = new RecordProducer(log);
  }

  produce<Value, Key, WrittenValue, WrittenKey>(
    topic: TopicGiven<Value, Key, WrittenValue, WrittenKey>,
    record: NewRecord<WrittenValue, WrittenKey>,
  ): Promise<RecordPlace>;
  produce<Value, Key, WrittenValue, WrittenKey>(
    topic: TopicGiven<Value, Key, WrittenValue, WrittenKey>,
    records: readonly NewRecord<WrittenValue, WrittenKey>[],
  ): Promise<readonly RecordPlace[]>;
  async produce(
    topic: string | Readable,
    given: NewRecord<unknown, unknown> | readonly NewRecord<unknown, unknown>[],
  ): Promise<RecordPlace | readonly RecordPlace[] | undefined> {
    this.#check();
    const places = await this.#producer.produce(portOf(topic), isMany(given) ? given : [given]);
    return isMany(given) ? places : places[0];
  }

  consume(topic: string, options?: ConsumeOptions): Consumption<string | null, string | null>;
  consume<Value, Key, WrittenValue, WrittenKey>(
    topic: Exclude<TopicGiven<Value, Key, WrittenValue, WrittenKey>, string>,
    options?: ConsumeOptions,
  ): Consumption<Value, Key>;
  consume(topic: string | Readable, options: ConsumeOptions = {}): Consumption<unknown, unknown> {
    this.#check();
    const consumption: TopicConsumption = new TopicConsumption(this.#log, portOf(topic), {
      options,
      onClosed: () => {
        this.#consumptions.delete(consumption);
      },
    });
    this.#consumptions.add(consumption);
    return consumption;
  }

  run(flow: Flow, options: FlowRunOptions = {}): FlowHandle {
    this.#check();
    const handle: FlowHandle = startFlow(this.#ground, flow, options, () => {
      this.#flows.delete(handle);
    });
    this.#flows.add(handle);
    return handle;
  }

  async runUntil(flow: Flow, options: RunUntilOptions = {}): Promise<JobSummary> {
    this.#check();
    const signals = options.signal === undefined ? [] : [options.signal];
    const signal = AbortSignal.any([...signals, this.#jobs.signal]);
    return runFlowUntil(this.#ground, flow, { ...options, signal });
  }

  queue<const Value extends SerdeName | Serde<unknown> | StandardSchema | undefined = undefined>(
    name: string,
    options?: QueueOptions<Value>,
  ): Queue<BodyRead<Value>>;
  queue<Value>(place: QueuePlace<Value>): Queue<Value>;
  queue(given: string | QueuePlace<unknown>, options: QueueOptions<never> = {}): Queue<unknown> {
    this.#check();
    const spec = typeof given === 'string' ? queueSpec(given, options) : given.spec;
    const ground: QueueGround = {
      env: this.#log.env,
      logger: this.#ground.logger,
      link: this.#queues,
      onWorker: (worker) => {
        this.#check();
        this.#workers.add(worker);
        const end = (): void => void this.#workers.delete(worker);
        worker.done.then(end, end);
      },
    };
    return new OpenQueue(ground, spec);
  }

  deliver(topic: string | Readable, options: DeliverOptions): Delivery {
    this.#check();
    const delivery: Delivery = startDelivery(this.#log, portOf(topic).name, options, {
      logger: this.#ground.logger,
      instanceId: this.#instanceOf(options.name),
      onEnd: () => {
        this.#deliveries.delete(delivery);
      },
    });
    this.#deliveries.add(delivery);
    return delivery;
  }

  /** Of all processes only the one that has the directory has it, and only once: whoever had it before is dead. */
  #instanceOf(name: string): string | undefined {
    const isFirst = [...this.#deliveries].every((each) => each.name !== name);
    return this.#ground.connection.kind === 'port' && isFirst ? IN_PROCESS_INSTANCE : undefined;
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeNow();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #closeNow(): Promise<void> {
    this.#jobs.abort();
    // A group that cannot be left is found out by its brokers; the rest is closed all the same.
    await Promise.allSettled([...this.#consumptions].map((each) => each.close()));
    const running = [...this.#workers, ...this.#deliveries, ...this.#flows];
    const stopping = running.map((each) => each.stop());
    await Promise.all(stopping);
    await this.#queues.close();
    await this.#ground.http?.close();
    await this.statsd?.close();
    await this.#producer.close();
    await this.#log.close();
  }

  #check(): void {
    if (this.#closing !== undefined)
      throw new MillraceError('ML_ABORTED', `${this.label} is closed`);
  }
}

function isMany<One>(given: One | readonly One[]): given is readonly One[] {
  return Array.isArray(given);
}
