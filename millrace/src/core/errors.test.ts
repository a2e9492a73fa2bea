import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { stalePage } from '../../scripts/generate-docs.ts';
import type { ErrorCode, ErrorEntry } from './errors.ts';
import { assert, ERRORS, MillraceError } from './errors.ts';

const SRC = fileURLToPath(new URL('..', import.meta.url));
const CATALOGUE: readonly [string, ErrorEntry][] = Object.entries(ERRORS);

test('the catalogue is sorted, and its texts are sentences without their final period', () => {
  const codes = CATALOGUE.map(([code]) => code);
  expect(codes).toEqual([...codes].sort());
  for (const [code, { summary, hint }] of CATALOGUE) {
    for (const text of [summary, hint]) {
      expect(`${code}: ${text}`).toMatch(/^ML_[A-Z_]+: [A-Z`].{9,}[^.]$/);
    }
  }
});

test('the reference page is what the catalogue says', () => {
  expect(stalePage('docs/reference/errors.md')).toBeUndefined();
});

test('the reference page has every code, and no other', () => {
  const page = readFileSync(new URL('../../../docs/reference/errors.md', import.meta.url), 'utf8');
  const described = [...page.matchAll(/^## (\S+)$/gm)].map((match) => match[1]);
  expect(described).toEqual(CATALOGUE.map(([code]) => code));
});

test('every code is thrown somewhere', () => {
  const sources = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .filter((name) => name.replaceAll('\\', '/') !== 'core/errors.ts')
    .map((name) => readFileSync(join(SRC, name), 'utf8'))
    .join('\n');
  const used = new Set(sources.match(/\bML_[A-Z_]+\b/g));
  expect(CATALOGUE.map(([code]) => code).filter((code) => !used.has(code))).toEqual([]);
});

test('an error takes retriability and hint from its code unless it knows better', () => {
  const plain = new MillraceError('ML_DISK_FULL', 'no space left to append to topic orders');
  expect(plain).toBeInstanceOf(Error);
  expect(plain).toMatchObject({
    name: 'MillraceError',
    code: 'ML_DISK_FULL',
    message: 'no space left to append to topic orders',
    retriable: true,
    hint: ERRORS.ML_DISK_FULL.hint,
    fields: {},
  });
  expect('cause' in plain).toBe(false);
  const cause = new Error('ENOSPC');
  const options = { retriable: false, hint: 'buy a disk', cause, fields: { partition: 3 } };
  expect(new MillraceError('ML_DISK_FULL', 'full', options)).toMatchObject(options);
});

test('assert throws ML_ASSERT, and only when the condition fails', () => {
  const code: ErrorCode = 'ML_ASSERT';
  expect(() => assert(true, 'holds')).not.toThrow();
  expect(() => assert(false, 'two sides')).toThrow(
    expect.objectContaining({ code, message: 'two sides' }),
  );
});
