/**
 * `millrace/testing`: flows over topics under test, without a broker and without waiting, in any test runner.
 */
export type { StateEntry, StateReader } from './testing/test-state.ts';
export type { TestDriver } from './testing/test-driver.ts';
export { testFlow, type TestFlowOptions } from './testing/test-flow.ts';
