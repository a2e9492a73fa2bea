import fc from 'fast-check';
import { expect, test } from 'vitest';
import { memoryEnv } from '../../../test/files/read-harness.ts';
import { expandBraces, expandGlob, isGlob, matchesSegment } from './globs.ts';

const { fs } = memoryEnv(
  Object.fromEntries(
    [
      '/logs/a.log',
      '/logs/b.log',
      '/logs/.hidden.log',
      '/logs/b.txt',
      '/logs/2024/jan.log',
      '/logs/2024/deep/er.log',
      '/logs/.git/x.log',
      '/logs/{odd}.log',
      '/other/z.log',
    ].map((path) => [path, Buffer.alloc(0)]),
  ),
);
const expand = (pattern: string): string[] => expandGlob(fs, pattern).map(({ path }) => path);

test('patterns find files in the order of their paths', () => {
  expect(expand('/logs/*.log')).toEqual(['/logs/a.log', '/logs/b.log', '/logs/{odd}.log']);
  expect(expand('/logs/?.log')).toEqual(['/logs/a.log', '/logs/b.log']);
  expect(expand('/logs/[!a].*')).toEqual(['/logs/b.log', '/logs/b.txt']);
  expect(expand('/logs/[a-b].log')).toEqual(['/logs/a.log', '/logs/b.log']);
  expect(expand('/{other,logs}/{z,a,b}.{log,txt}')).toEqual([
    '/logs/a.log',
    '/logs/b.log',
    '/logs/b.txt',
    '/other/z.log',
  ]);
  expect(expand('/*/*.log')).toContain('/other/z.log');
  expect(expand('/logs/nothing*')).toEqual([]);
  expect(expand('/logs/a.log/*')).toEqual([]);
});

test('** goes through any number of directories, but not through hidden ones', () => {
  expect(expand('/logs/**/*.log')).toEqual([
    '/logs/2024/deep/er.log',
    '/logs/2024/jan.log',
    '/logs/a.log',
    '/logs/b.log',
    '/logs/{odd}.log',
  ]);
  expect(expand('/**/er.log')).toEqual(['/logs/2024/deep/er.log']);
  expect(expand('/logs/2024/**')).toEqual(['/logs/2024/deep/er.log', '/logs/2024/jan.log']);
});

test('hidden names are matched by a dot alone', () => {
  expect(expand('/logs/.*.log')).toEqual(['/logs/.hidden.log']);
  expect(matchesSegment('*', '.x')).toBe(false);
  expect(matchesSegment('[.]x', '.x')).toBe(false);
});

test('braces nest, and stand for themselves where they mean nothing', () => {
  expect(expandBraces('a{b,c{d,e}}f')).toEqual(['abf', 'acdf', 'acef']);
  expect(expandBraces('{a}')).toEqual(['{a}']);
  expect(expandBraces('{a{b,c}}')).toEqual(['{ab}', '{ac}']);
  expect(expandBraces('x{y')).toEqual(['x{y']);
  expect(expandBraces('x{y{a,b}')).toEqual(['x{ya', 'x{yb']);
  expect(expandBraces('{,a}{,b}')).toEqual(['', 'b', 'a', 'ab']);
  expect(expandBraces(String.raw`\{a,b}`)).toEqual([String.raw`\{a,b}`]);
});

test('a name that is escaped letter by letter matches itself alone', () => {
  const name = fc.string({
    minLength: 1,
    unit: fc.constantFrom('a', '*', '?', '[', ']', '!', '-', '.', '$', '('),
  });
  fc.assert(
    fc.property(name, name, (text, other) => {
      const pattern = text.replaceAll(/./g, '\\$&');
      expect(matchesSegment(pattern, text)).toBe(true);
      expect(matchesSegment(pattern, other)).toBe(text === other);
    }),
  );
});

test('sets take ranges and single letters, and a bracket at their beginning', () => {
  expect(matchesSegment('[a-c]x', 'bx')).toBe(true);
  expect(matchesSegment('[a-c]x', 'dx')).toBe(false);
  expect(matchesSegment('[^a-c]x', 'dx')).toBe(true);
  expect(matchesSegment('[]]x', ']x')).toBe(true);
  expect(matchesSegment('[a-]x', '-x')).toBe(true);
  expect(matchesSegment('[c-a]x', 'bx')).toBe(false);
  expect(matchesSegment('[abc', '[abc')).toBe(true);
});

test('only what has a sign of a pattern is one', () => {
  expect(['a*', 'a?', '[a]', '{a}'].every(isGlob)).toBe(true);
  expect(isGlob('/logs/a-b_c.log')).toBe(false);
});
