/**
 * The command line. Each command is a module of its own, loaded when it is called: `millrace start` must not wait for the
 * network client that only `millrace produce` needs.
 */
import { Command, CommanderError, Option } from 'commander';
import { keepCompiledCode } from './compile-cache.ts';
import { EXIT, report, watchOutput } from './io.ts';
import { addQueue, addUser, addVhost } from './queue-commands.ts';
import { VERSION } from './version.ts';

const BROKERS = '--brokers <host:port,...>';
const BROKERS_HELP = 'the broker to talk to (default: MILLRACE_BROKERS, else 127.0.0.1:9092)';

/** Runs one command line and sets the exit code. Never throws. */
export async function main(argv: readonly string[]): Promise<void> {
  watchOutput();
  const program = buildProgram();
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has written what there is to say; help and version count as success.
      process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
      const [first = ''] = argv;
      if (error.code === 'commander.unknownCommand' && /\.[cm]?[jt]s$/.test(first))
        process.stderr.write(`(a program is run with: millrace run ${first})\n`);
    } else process.exitCode = report(error);
  }
}

function buildProgram(): Command {
  const program = new Command('millrace')
    .description(
      'A durable log that Kafka clients talk to, and programs over files and topics, in one directory',
    )
    .version(VERSION, '-V, --version')
    .showHelpAfterError('(millrace --help lists the commands)')
    .exitOverride();
  addStart(program);
  addTopic(program);
  addProduceAndConsume(program);
  addGroup(program);
  addQueue(program);
  addUser(program);
  addVhost(program);
  addPrograms(program);
  addJob(program);
  // Subcommands do not inherit this by themselves when they were made before it was set.
  for (const command of program.commands) command.exitOverride().showHelpAfterError(true);
  return program;
}

function addStart(program: Command): void {
  program
    .command('start')
    .description('start a broker on a directory (created when absent)')
    .option('-d, --data <directory>', 'where everything is kept (default: ./millrace-data)')
    .option('--kafka <host:port>', 'where Kafka clients connect (default: 127.0.0.1:9092)')
    .option(
      '--amqp <host:port>',
      'where AMQP 0-9-1 clients connect, or off (default: 127.0.0.1:5672, when it is free)',
    )
    .option('--http <[host:]port>', 'read and write topics over HTTP (default: off)')
    .option('--statsd <host:port/topic>', 'receive StatsD over UDP into a topic (default: off)')
    .option('-c, --config <file>', 'settings, one `name = value` a line')
    .option('-s, --set <name=value...>', 'a setting, over the file and the environment')
    .option('--insecure', 'allow a bind that other machines can reach, without authentication')
    .option('--repair', 'start although files are damaged: keep what is good, log what is lost')
    .addOption(new Option('--log-level <level>').choices(['debug', 'info', 'warn', 'error']))
    .addOption(
      new Option(
        '--log-format <format>',
        'text for people, json for machines (default: text on a terminal)',
      ).choices(['text', 'json']),
    )
    .action(async (options) => (await import('./start.ts')).start(options));
}

function addTopic(program: Command): void {
  const topic = program.command('topic').description('create, look at and change topics');
  topic
    .command('create <name>')
    .description('create a topic')
    .option('-p, --partitions <count>', "how many (default: the broker's num.partitions)")
    .option('-c, --config <name=value...>', 'topic configs, for example retention.ms=86400000')
    .option(BROKERS, BROKERS_HELP)
    .option('--json', 'print JSON')
    .action(async (name, options) => (await import('./topic.ts')).createTopic(name, options));
  topic
    .command('list')
    .description('list the topics')
    .option('--internal', 'include the internal ones')
    .option(BROKERS, BROKERS_HELP)
    .option('--json', 'print JSON')
    .action(async (options) => (await import('./topic.ts')).listTopics(options));
  topic
    .command('describe <name>')
    .description('show partitions, offsets and changed configs of a topic')
    .option(BROKERS, BROKERS_HELP)
    .option('--json', 'print JSON')
    .action(async (name, options) => (await import('./topic.ts')).describeTopic(name, options));
  topic
    .command('delete <names...>')
    .description('delete topics and all their records, at once')
    .option(BROKERS, BROKERS_HELP)
    .action(async (names, options) => (await import('./topic.ts')).deleteTopics(names, options));
  topic
    .command('config <name> [name=value...]')
    .description('show the configs of a topic; set those given (name= goes back to the default)')
    .option(BROKERS, BROKERS_HELP)
    .option('--json', 'print JSON')
    .action(async (name, changes, options) =>
      (await import('./topic.ts')).configureTopic(name, changes, options),
    );
}

function addProduceAndConsume(program: Command): void {
  program
    .command('produce <topic>')
    .description('append each line of stdin as a record')
    .option(
      '-k, --key-separator <text>',
      'split each line into key and value at its first occurrence (\\t = tab)',
    )
    .option(
      '--json',
      'each line is {"key","value","headers","partition","timestamp"}, as consume --json prints it',
    )
    .option('-p, --partition <number>', 'append to this partition only')
    .option('-z, --compression <codec>', 'none, gzip, snappy, lz4 or zstd', 'none')
    .option('--acks <acks>', 'all (durable, no duplicates), 1 or 0', 'all')
    .option(BROKERS, BROKERS_HELP)
    .action(async (topic, options) => (await import('./produce.ts')).produce(topic, options));
  program
    .command('consume <topic>')
    .description('print the records of a topic, one a line')
    .option(
      '-f, --from <position>',
      'beginning, end, an offset, a time (2026-01-31T12:00:00Z) or an age (-15m) (default: beginning)',
    )
    .option('-u, --until <position>', 'stop there; `end` is the end as it is now (default: go on)')
    .option('-n, --count <records>', 'stop after this many')
    .option('-p, --partition <number>', 'read one partition only')
    .option('-g, --group <name>', 'read as a member of a consumer group, and commit')
    .option('-k, --keys', 'print the key and a tab before the value')
    .option('--uncommitted', 'also print records of open and aborted transactions')
    .option('--json', 'print each record as a JSON object')
    .option(BROKERS, BROKERS_HELP)
    .action(async (topic, options) => (await import('./consume.ts')).consume(topic, options));
}

function addGroup(program: Command): void {
  const group = program.command('group').description('look at consumer groups, and move them');
  group
    .command('list')
    .description('list the consumer groups')
    .option(BROKERS, BROKERS_HELP)
    .option('--json', 'print JSON')
    .action(async (options) => (await import('./group.ts')).listGroups(options));
  group
    .command('describe <name>')
    .description('show members, committed offsets and lag of a group')
    .option(BROKERS, BROKERS_HELP)
    .option('--json', 'print JSON')
    .action(async (name, options) => (await import('./group.ts')).describeGroup(name, options));
  group
    .command('reset <name>')
    .description('move the committed offsets of a group that has no members')
    .requiredOption('-t, --topic <topic>', 'the topic to move on')
    .requiredOption('--to <position>', 'beginning, end, an offset, a time or an age')
    .option('--dry-run', 'only show where it would move')
    .option(BROKERS, BROKERS_HELP)
    .option('--json', 'print JSON')
    .action(async (name, options) => (await import('./group.ts')).resetGroup(name, options));
}

function addPrograms(program: Command): void {
  program
    .command('run <program>')
    .description('run a program: a TypeScript file that exports a flow')
    .option('-w, --watch', 'run it again whenever a file of the program changes')
    .option(
      '--until <position>',
      'run a flow that reads topics up to there, and end: now, a time, an age, topic:partition=offset,...',
    )
    .option(
      '--workers <count>',
      'worker processes (default: one per core; 0: none); without end, threads (default: 0, none)',
    )
    .option('--memory <size>', 'what they may hold together (default: 512MB)')
    .option('--overwrite', 'replace outputs that exist')
    .addOption(setOption())
    .option('--flow <name>', 'which flow, when the program exports several')
    .option('--partitions <count>', 'partitions between stages (default: from the input)')
    .option('--split-size <size>', 'input of a task, about (default: from the input)')
    .option(
      '--from <position>',
      'without end, where the first start begins: beginning, latest, a time or an age (default: beginning)',
    )
    .option(
      '--commit-interval <time>',
      'without end, how often results are committed (default: 100ms)',
    )
    .addOption(
      new Option(
        '--state <kind>',
        'without end, where state is while it runs (default: disk)',
      ).choices(['disk', 'memory']),
    )
    .option(
      '--kafka <host:port>',
      'without end, let Kafka clients reach the log of --data meanwhile',
    )
    .option('--http <[host:]port>', 'without end, serve the views of the flow over HTTP meanwhile')
    .option('--insecure', 'let --http listen where other machines reach it: everybody may read')
    .option(DATA, PROGRAM_DATA_HELP)
    .option(BROKERS, PROGRAM_BROKERS_HELP)
    .option('--json', 'print the summary as JSON; without end, a line for each event')
    .option('-q, --quiet', 'no progress and no summary')
    .addOption(new Option('--watched').hideHelp())
    .action(async (path, options) => {
      keepCompiledCode(options.data);
      await (await import('./run.ts')).run(path, options);
    });
  program
    .command('plan <program>')
    .description('show what a program would do: its operators, stages, exchanges and joins')
    .addOption(setOption())
    .option('--flow <name>', 'which flow, when the program exports several')
    .option('--memory <size>', 'as for run: joins are chosen by it (default: 512MB)')
    .option('--partitions <count>', 'as for run')
    .option('--until <position>', 'show the run with an end, as for run')
    .option(DATA, PROGRAM_DATA_HELP)
    .option(BROKERS, PROGRAM_BROKERS_HELP)
    .option('--json', 'print JSON')
    .action(async (path, options) => (await import('./plan.ts')).plan(path, options));
  program
    .command('reset <program>')
    .description(
      'let a flow over topics begin anew: deletes its offsets, its own topics and its state',
    )
    .option(
      '-t, --to <position>',
      'where it begins: beginning, latest, a time or an age (default: beginning)',
    )
    .option('-y, --yes', 'do not ask')
    .addOption(setOption())
    .option('--flow <name>', 'which flow, when the program exports several')
    .option(DATA, PROGRAM_DATA_HELP)
    .option(BROKERS, PROGRAM_BROKERS_HELP)
    .option('--json', 'print what was deleted as JSON')
    .action(async (path, options) => (await import('./reset.ts')).reset(path, options));
}

const PROGRAM_BROKERS_HELP =
  'the broker with the topics (default: MILLRACE_BROKERS, else the log of --data, in this process)';
const PROGRAM_DATA_HELP =
  'the log with the topics, state of flows and records of jobs (default: MILLRACE_DATA, else ./millrace-data)';
const DATA = '-d, --data <directory>';
const DATA_HELP = 'where jobs keep their records (default: MILLRACE_DATA, else ./millrace-data)';

/** Repeated rather than a list, so that `--set a=1 program.ts` means what it says. */
function setOption(): Option {
  return new Option(
    '-s, --set <name=value>',
    'a parameter of the program; may be repeated',
  ).argParser((text: string, all: readonly string[] | undefined) => [...(all ?? []), text]);
}

function addJob(program: Command): void {
  const job = program.command('job').description('look at jobs that were run');
  job
    .command('list')
    .description('list the jobs, newest first')
    .option(DATA, DATA_HELP)
    .option('--json', 'print JSON')
    .action(async (options) => (await import('./job.ts')).listJobs(options));
  job
    .command('show <id>')
    .description('show a job: its stages, outputs, plan and error (`last`: the newest one)')
    .option(DATA, DATA_HELP)
    .option('--json', 'print JSON')
    .action(async (id, options) => (await import('./job.ts')).showJob(id, options));
}

// `node src/cli/main.ts …`, as tests and contributors call it; the published bin imports `main`.
if (import.meta.main) await main(process.argv.slice(2));
