/** Closes a test run with one plain line, `N passed, N failed`, for readers that are not people. */
import type { Reporter, TestModule } from 'vitest/node';

export default class PlainLineReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    let passed = 0;
    let failed = unhandledErrors.length;
    let skipped = 0;
    for (const module of modules) {
      const before = passed + failed + skipped;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') passed++;
        else if (state === 'skipped') skipped++;
        else failed++;
      }
      if (module.state() === 'failed' && passed + failed + skipped === before) failed++;
    }
    const tail = skipped === 0 ? '' : `, ${skipped} skipped`;
    // The default reporter writes its own summary in the same tick; ours is the last line.
    process.on('exit', () => process.stdout.write(`${passed} passed, ${failed} failed${tail}\n`));
  }
}
