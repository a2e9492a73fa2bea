/** The benchmarks' command line: `npm run bench -- <command>`. */
import { runBatchBench } from './batch/batch-bench.ts';
import { runBrokerBench } from './broker-bench.ts';
import { runDumpLog } from './dump-log.ts';
import { BenchFailure } from './failure.ts';
import { HELP, type Options, parseOptions } from './options.ts';
import { runQueuesBench } from './queues/queues-bench.ts';
import { stopChildrenOnExit } from './process.ts';
import { runProfile } from './profile.ts';
import { runStreamsBench } from './streams/streams-bench.ts';

async function main(args: readonly string[]): Promise<number> {
  stopChildrenOnExit();
  const options: Options = parseOptions(args);
  if (options.kind === 'broker') return runBrokerBench(options);
  if (options.kind === 'batch') return runBatchBench(options);
  if (options.kind === 'streams') return runStreamsBench(options);
  if (options.kind === 'queues') return runQueuesBench(options);
  if (options.kind === 'profile') return runProfile(options);
  if (options.kind === 'dump-log') return runDumpLog(options.directory);
  process.stdout.write(HELP);
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof BenchFailure)) throw error;
  process.stderr.write(`error: ${error.message}\n`);
  process.exitCode = 2;
}
