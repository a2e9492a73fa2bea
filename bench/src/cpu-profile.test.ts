import { expect, test } from 'vitest';
import { type CpuProfile, summariseProfile } from './cpu-profile.ts';

function node(id: number, functionName: string, children: readonly number[] = []) {
  const url = functionName.startsWith('(') ? '' : 'file:///src/a.js';
  return { id, callFrame: { functionName, url, lineNumber: id, columnNumber: 0 }, children };
}

const locate = (url: string, line: number): string =>
  `${url.slice(url.lastIndexOf('/') + 1)}:${line}`;

test('adds up the time of a function itself and of all it called, and leaves idle time out', () => {
  const profile: CpuProfile = {
    nodes: [node(1, '(root)', [2, 4]), node(2, 'outer', [3]), node(3, 'inner'), node(4, '(idle)')],
    samples: [2, 3, 3, 4],
    timeDeltas: [1000, 2000, 3000, 4000],
  };
  const summary = summariseProfile(profile, locate);
  expect(summary).toEqual({
    busyMs: 6,
    idleMs: 4,
    functions: [
      { name: 'inner', place: 'a.js:3', selfMs: 5, totalMs: 5 },
      { name: 'outer', place: 'a.js:2', selfMs: 1, totalMs: 6 },
    ],
  });
});

test('counts a recursive function once in its total', () => {
  const again = { ...node(2, 'again'), id: 3 };
  const profile: CpuProfile = {
    nodes: [node(1, '(root)', [2]), node(2, 'again', [3]), again],
    samples: [2, 3],
    timeDeltas: [1000, 2000],
  };
  expect(summariseProfile(profile, locate).functions).toEqual([
    { name: 'again', place: 'a.js:2', selfMs: 3, totalMs: 3 },
  ]);
});
