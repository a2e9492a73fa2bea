import { expect, test } from 'vitest';
import { CollectingLogger, silentLogger } from './log.ts';

test('a collecting logger keeps its lines, with the fields of those it was made by', () => {
  const logger = new CollectingLogger();
  logger.info('started', { port: 9092 });
  const partition = logger.with({ topic: 'orders' }).with({ partition: 3 });
  partition.warn('slow sync', { ms: 900, partition: 4 });
  partition.error('failed');
  partition.debug('detail');
  expect(logger.lines).toEqual([
    { level: 'info', message: 'started', fields: { port: 9092 } },
    { level: 'warn', message: 'slow sync', fields: { topic: 'orders', partition: 4, ms: 900 } },
    { level: 'error', message: 'failed', fields: { topic: 'orders', partition: 3 } },
    { level: 'debug', message: 'detail', fields: { topic: 'orders', partition: 3 } },
  ]);
});

test('the silent logger takes everything', () => {
  const logger = silentLogger.with({ a: 1 });
  for (const level of ['debug', 'info', 'warn', 'error'] as const)
    expect(logger[level]('nobody hears it', { a: 1 })).toBeUndefined();
});
