import { expect, test } from 'vitest';
import { PACKAGE_URL } from '../workers/entry-points.ts';
import { syntaxPosition, userFrames, userPosition } from './user-stack.ts';

const STACK = `TypeError: Cannot read properties of undefined (reading 'b')
    at parse (file:///home/me/my%20jobs/parse.ts:3:5)
    at file:///home/me/my%20jobs/job.ts:10:20
    at Array.map (<anonymous>)
    at async run (/home/me/other.js:7:1)
    at MapOperator.push (${PACKAGE_URL}src/engine/batch/operators/map.ts:5:5)
    at command (file:///home/me/node_modules/commander/lib/command.js:1:1)
    at process.processTicksAndRejections (node:internal/process/task_queues:104:5)`;

test('only the frames of the user are left, with paths', () => {
  expect(userFrames(STACK)).toEqual([
    'at parse (/home/me/my jobs/parse.ts:3:5)',
    'at /home/me/my jobs/job.ts:10:20',
    'at async run (/home/me/other.js:7:1)',
  ]);
});

test('the first of them is the place', () => {
  expect(userPosition(STACK)).toEqual({ path: '/home/me/my jobs/parse.ts', line: 3, column: 5 });
  expect(userPosition('Error: x\n    at node:internal/main:1:1')).toBeUndefined();
  expect(userPosition('')).toBeUndefined();
});

test('the place of an error of syntax is what stands before its message', () => {
  const stack = `file:///home/me/job.ts:2\nconst a = 1;\nconst b = = 2;\n          ^\n\nSyntaxError: no`;
  expect(syntaxPosition(stack)).toEqual({
    path: '/home/me/job.ts',
    line: 2,
    column: 11,
    excerpt: 'const a = 1;\nconst b = = 2;\n          ^',
  });
  expect(syntaxPosition('SyntaxError: no\n    at compile (node:vm:1:1)')).toBeUndefined();
});
