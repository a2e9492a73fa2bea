/** The types of queues at the front door: what a queue is said to hold is what is enqueued and handled. */
import { expectTypeOf, test } from 'vitest';
import {
  type Enqueued,
  type FlowBuilder,
  json,
  type Millrace,
  type Queue,
  queue,
  type QueueWorker,
  type Rows,
  type TakenMessage,
} from '../../index.ts';

interface Email {
  readonly to: string;
}
declare const millrace: Millrace;
declare const f: FlowBuilder;
declare const schema: {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => { readonly value: Email };
  };
};

test('a queue has the type of its serde, its schema, or the place that it is', () => {
  expectTypeOf(millrace.queue('q', { value: json<Email>() })).toEqualTypeOf<Queue<Email>>();
  expectTypeOf(millrace.queue('q', { value: schema })).toEqualTypeOf<Queue<Email>>();
  expectTypeOf(millrace.queue('q', { value: 'string' })).toEqualTypeOf<Queue<string>>();
  expectTypeOf(millrace.queue('q')).toEqualTypeOf<Queue<unknown>>();
  expectTypeOf(millrace.queue('q', { maxLength: 5 })).toEqualTypeOf<Queue<unknown>>();
  expectTypeOf(millrace.queue(queue('q', { value: json<Email>() }))).toEqualTypeOf<Queue<Email>>();
  // @ts-expect-error there is no such option
  millrace.queue('q', { length: 5 });
});

test('what is enqueued, and handled, is that', () => {
  const emails = millrace.queue('emails', { value: json<Email>() });
  expectTypeOf(
    emails.enqueue({ to: 'ann' }, { delay: '5m', priority: 3 }),
  ).resolves.toEqualTypeOf<Enqueued>();
  expectTypeOf(emails.enqueueMany([{ value: { to: 'ann' }, key: 'k' }])).resolves.toEqualTypeOf<
    readonly Enqueued[]
  >();
  // @ts-expect-error another value
  void emails.enqueue({ from: 'ann' });
  // @ts-expect-error no length of time
  void emails.enqueue({ to: 'ann' }, { delay: 'soon' });
  const worker = emails.work((email, { signal, attempt, id, enqueuedAt }) => {
    expectTypeOf(email).toEqualTypeOf<Email>();
    expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
    expectTypeOf(attempt).toEqualTypeOf<number>();
    expectTypeOf(id).toEqualTypeOf<string | undefined>();
    expectTypeOf(enqueuedAt).toEqualTypeOf<Date | undefined>();
  });
  expectTypeOf(worker).toEqualTypeOf<QueueWorker>();
  emails.work(async () => {}, {
    retry: { backoff: ({ attempt }) => attempt * 1_000 },
    onFailure: ({ value, outcome }) => {
      expectTypeOf(value).toEqualTypeOf<Email | undefined>();
      expectTypeOf(outcome).toEqualTypeOf<'retry' | 'dead'>();
    },
  });
});

test('flows read and write what a queue holds', () => {
  const emails = queue('emails', { value: json<Email>(), message: ({ to }) => ({ key: to }) });
  expectTypeOf(f.read(emails)).toEqualTypeOf<Rows<Email>>();
  expectTypeOf(f.read(emails.messages())).toEqualTypeOf<Rows<TakenMessage<Email>>>();
  f.read(emails).write(emails);
  f.read(emails)
    .keyBy(({ to }) => to.length)
    .write(emails);
  const names = f.read(emails).map(({ to }) => to);
  // @ts-expect-error another value
  names.write(emails);
});
