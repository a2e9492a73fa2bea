import { expect, test } from 'vitest';
import { NO_PROPERTIES } from '../../broker/queues/message.ts';
import type { Connection, Timers } from '../../core/env.ts';
import { type Delivered, Output } from './output.ts';

interface World {
  readonly output: Output;
  /** What each write had. */
  readonly written: string[];
  /** Ends the turn of the event loop. */
  readonly endTurn: () => void;
}

function world(): World {
  const written: string[] = [];
  const waiting: (() => void)[] = [];
  const connection = {
    bufferedBytes: 0,
    write: (chunks: readonly Uint8Array[]) => void written.push(Buffer.concat(chunks).toString()),
  } as unknown as Connection;
  const timers = { immediate: (callback: () => void) => void waiting.push(callback) };
  const ignore = (): void => {};
  const output = new Output({
    connection,
    timers: timers as unknown as Timers,
    onFlush: ignore,
    onSent: ignore,
    onRoom: ignore,
    onUntold: ignore,
  });
  return {
    output,
    written,
    endTurn: () => {
      for (const callback of waiting.splice(0)) callback();
    },
  };
}

function delivered(text: string): Delivered {
  const message = {
    key: null,
    exchange: '',
    routingKey: 'q',
    properties: NO_PROPERTIES,
    body: Buffer.from(text),
    timestampMs: 0,
  };
  return {
    consumerTag: 'c',
    deliveryTag: 1,
    redelivered: false,
    message,
    properties: NO_PROPERTIES,
  };
}

test('what a queue delivers in its turn is one write at its end, not a turn of the event loop later', async () => {
  const { output, written, endTurn } = world();
  output.deliver(1, delivered('one'));
  output.deliver(1, delivered('two'));
  expect(written).toEqual([]);
  await Promise.resolve();
  expect(written).toEqual([expect.stringMatching(/one.*two/s)]);
  endTurn();
  expect(written.length).toBe(1);
});

test('what is told while others still read waits for them, and what is delivered with it', async () => {
  const { output, written, endTurn } = world();
  output.method(1, { name: 'basic.cancel-ok', consumerTag: 'gone' });
  output.deliver(1, delivered('one'));
  await Promise.resolve();
  expect(written).toEqual([]);
  endTurn();
  expect(written).toEqual([expect.stringMatching(/gone.*one/s)]);
});
