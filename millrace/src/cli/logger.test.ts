import { expect, test } from 'vitest';
import { MillraceError } from '../core/errors.ts';
import type { Logger, LogLevel } from '../core/log.ts';
import { createLogger } from './logger.ts';

const clock = { nowMs: () => Date.UTC(2026, 0, 31, 12, 0, 0, 5), monotonicMs: () => 0 };

function collecting(format: 'text' | 'json', level: LogLevel = 'debug') {
  const written: string[] = [];
  const logger = createLogger({ level, format, clock, write: (line) => written.push(line) });
  return { logger, written };
}

function jsonOf(log: (logger: Logger) => void): Record<string, unknown> {
  const { logger, written } = collecting('json');
  log(logger);
  expect(written).toHaveLength(1);
  expect(written[0]?.indexOf('\n')).toBe((written[0]?.length ?? 0) - 1);
  return JSON.parse(written[0] ?? '') as Record<string, unknown>;
}

test('a JSON line has time, level, message and the fields, also those given before', () => {
  const line = jsonOf((logger) => logger.with({ topic: 'orders' }).info('made', { partitions: 3 }));
  expect(line).toEqual({
    time: '2026-01-31T12:00:00.005Z',
    level: 'info',
    message: 'made',
    topic: 'orders',
    partitions: 3,
  });
});

test('lines below the level are not written', () => {
  const { logger, written } = collecting('json', 'warn');
  logger.debug('a');
  logger.info('b');
  logger.warn('c');
  logger.error('d');
  expect(written.map((line) => (JSON.parse(line) as { message: string }).message)).toEqual([
    'c',
    'd',
  ]);
});

test('an error is written with code, hint, fields, stack and its cause', () => {
  const error = new MillraceError('ML_DISK_FULL', 'no space', {
    fields: { partition: 7 },
    cause: new Error('ENOSPC'),
  });
  const line = jsonOf((logger) => logger.error('failed', { error }));
  expect(line['error']).toMatchObject({ code: 'ML_DISK_FULL', message: 'no space', partition: 7 });
  const { hint, stack } = line['error'] as { hint: string; stack: string };
  expect(hint).toBe(error.hint);
  expect(stack).toContain('logger.test.ts');
  expect(stack).toContain('caused by Error: ENOSPC');
});

test('a field does not take the place of the message', () => {
  expect(jsonOf((logger) => logger.info('real', { message: 'false' }))['message']).toBe('real');
});

test('what JSON cannot say does not keep a line from being written', () => {
  const circle: Record<string, unknown> = {};
  circle['self'] = circle;
  expect(jsonOf((logger) => logger.info('round', { circle }))['message']).toBe('round');
  expect(jsonOf((logger) => logger.info('big', { offset: 2n ** 63n }))['offset']).toBe(
    '9223372036854775808',
  );
  const { logger, written } = collecting('text');
  logger.info('round', { circle, nothing: undefined });
  expect(written).toHaveLength(1);
});

test('a text line is one line, whatever a client calls itself', () => {
  const { logger, written } = collecting('text');
  logger.warn('a client left', { client: 'x\n12:00:00.000 info  all=well', topic: 'orders' });
  expect(written).toEqual([
    '12:00:00.005 warn  a client left  client="x\\n12:00:00.000 info  all=well"  topic=orders\n',
  ]);
});

test('a text line shows an error below, indented, with what to do', () => {
  const { logger, written } = collecting('text');
  logger.error('the disk failed', {
    error: new MillraceError('ML_FSYNC_FAILED', 'fsync of a.log'),
  });
  const lines = (written[0] ?? '').trimEnd().split('\n');
  expect(lines[0]).toBe('12:00:00.005 error the disk failed');
  expect(lines.slice(1).every((line) => line.startsWith('    '))).toBe(true);
  expect(written[0]).toContain('ML_FSYNC_FAILED');
  expect(written[0]).toContain('fix: Look for disk errors');
});
