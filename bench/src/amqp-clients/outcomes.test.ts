/** What the tools of others say of their tests, as we read it. */
import { expect, test } from 'vitest';
import { outcomesOf as goOutcomes } from './go-suite.ts';
import { outcomesOf as mochaOutcomes } from './node-suites.ts';
import { outcomesOf as pytestOutcomes } from './python-suites.ts';

test('of Go: each test, and the package only when it has failed beside its tests', () => {
  const events = [
    { Action: 'output', Test: 'TestA', Output: 'why\n' },
    { Action: 'fail', Test: 'TestA' },
    { Action: 'pass', Test: 'TestB' },
    { Action: 'skip', Test: 'TestC' },
    { Action: 'output', Output: 'goroutines are left\n' },
  ];
  const lines = (end: string): string =>
    ['# a build', ...[...events, { Action: end }].map((event) => JSON.stringify(event))].join('\n');
  const tests = [
    { name: 'TestA', outcome: 'failed', said: 'why\n' },
    { name: 'TestB', outcome: 'passed', said: '' },
    { name: 'TestC', outcome: 'skipped', said: '' },
  ];
  expect(goOutcomes(lines('pass'))).toEqual(tests);
  expect(goOutcomes(lines('fail'))).toEqual([
    ...tests,
    { name: 'the package', outcome: 'failed', said: 'goroutines are left\n' },
  ]);
});

test('of pytest: its report in the format of JUnit', () => {
  const report =
    '<testsuite><testcase classname="t.one" name="test_a[x]" time="1" />' +
    '<testcase classname="t.one" name="test_b"><failure message="m">why</failure></testcase>' +
    '<testcase classname="t.two" name="test_c"><skipped /></testcase></testsuite>';
  expect(pytestOutcomes(report).map(({ name, outcome }) => `${name} ${outcome}`)).toEqual([
    't.one.test_a[x] passed',
    't.one.test_b failed',
    't.two.test_c skipped',
  ]);
});

test('of Mocha: its report in JSON', () => {
  const [good, bad, left] = ['a', 'b', 'c'].map((fullTitle) => ({ fullTitle, err: {} }));
  const failures = [{ ...bad, err: { stack: 'Error: why' } }];
  const report = { stats: {}, tests: [good, bad, left], passes: [good], failures, pending: [left] };
  expect(mochaOutcomes(JSON.stringify(report))).toEqual([
    { name: 'a', outcome: 'passed', said: '' },
    { name: 'b', outcome: 'failed', said: 'Error: why' },
    { name: 'c', outcome: 'skipped', said: '' },
  ]);
});
