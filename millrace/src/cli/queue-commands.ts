/** The commands about queues, and about who may use them. */
import { type Command, Option } from 'commander';

const COUNT = '-n, --count <messages>';

/** Where, and as whom: of every command below. */
function withBroker(command: Command): Command {
  return command
    .option(
      '--amqp <address>',
      'the broker: host:port, or amqp://user:password@host:port/vhost (default: MILLRACE_AMQP, else 127.0.0.1:5672)',
    )
    .option('--user <name>', 'who is asking (default: guest, from the machine of the broker only)')
    .option(
      '--password <text>',
      'their password; better in MILLRACE_AMQP, where others do not see it',
    )
    .option('--vhost <name>', 'the virtual host (default: /)');
}

function json(command: Command): Command {
  return command.option('--json', 'print JSON');
}

export function addQueue(program: Command): void {
  const queue = program.command('queue').description('look at queues, and use and change them');
  json(withBroker(queue.command('list').description('list the queues'))).action(async (options) =>
    (await import('./queue.ts')).listQueues(options),
  );
  json(
    withBroker(
      queue.command('show <name>').description('show a queue: what it is, and what is in it'),
    ),
  ).action(async (name, options) => (await import('./queue.ts')).showQueue(name, options));
  json(
    withBroker(
      queue
        .command('declare <name>')
        .description('make a durable queue, unless it is there as it is to be')
        .addOption(
          new Option('--type <type>', 'default: classic').choices(['classic', 'quorum', 'stream']),
        )
        .option('--dead-letters <queue>', 'where messages go that cannot be handled; made, too')
        .option('--key-ordered', 'one message of a key at a time')
        .option('--over <topic>', 'it gives out the records of this topic')
        .option(
          '-a, --argument <name=value...>',
          'arguments of AMQP, for example x-max-length=1000',
        ),
    ),
  ).action(async (name, options) => (await import('./queue.ts')).declareQueue(name, options));
  withBroker(
    queue
      .command('delete <names...>')
      .description('delete queues with all that is in them, at once')
      .option('--if-empty', 'only when nothing is ready in it')
      .option('--if-unused', 'only when nobody consumes'),
  ).action(async (names, options) => (await import('./queue.ts')).deleteQueues(names, options));
  addMessages(queue);
}

function addMessages(queue: Command): void {
  json(
    withBroker(
      queue.command('purge <name>').description('drop the messages that are ready in a queue'),
    ),
  ).action(async (name, options) => (await import('./queue.ts')).purgeQueue(name, options));
  json(
    withBroker(
      queue
        .command('move <from> <to>')
        .description('move the messages that are ready from one queue to another')
        .option(COUNT, 'at most so many (default: all)'),
    ),
  ).action(async (from, to, options) => (await import('./queue.ts')).moveQueue(from, to, options));
  json(
    withBroker(
      queue
        .command('redrive <dead>')
        .description('put dead letters back to where they came from')
        .option(COUNT, 'at most so many (default: all)'),
    ),
  ).action(async (from, options) => (await import('./queue.ts')).redriveQueue(from, options));
  withBroker(
    queue
      .command('publish <queue>')
      .description('put each line of stdin into a queue, as a message')
      .option('-m, --message <text>', 'this one message, instead')
      .option('-e, --exchange <name>', 'publish there, with <queue> as the routing key')
      .option('-k, --key <text>', 'what orders messages in a queue that is ordered by key')
      .option('--priority <number>', '0 to what the queue has')
      .option('--delay <time>', 'ready only after so long, for example 5m')
      .option('--expires <time>', 'a dead letter after so long')
      .option('--dedupe-key <text>', 'kept once within the window of the queue')
      .option('-H, --header <name=value...>', 'headers'),
  ).action(async (to, options) =>
    (await import('./queue-messages.ts')).publishMessages(to, options),
  );
  json(
    withBroker(
      queue
        .command('get <queue>')
        .description('take messages out of a queue, and print their bodies, one a line')
        .option(COUNT, 'at most so many (default: 1)')
        .option('--keep', 'only look at them'),
    ),
  ).action(async (name, options) =>
    (await import('./queue-messages.ts')).getMessages(name, options),
  );
}

export function addUser(program: Command): void {
  const user = program.command('user').description('who may use queues, and which');
  json(withBroker(user.command('list').description('list users, and what they may do'))).action(
    async (options) => (await import('./user.ts')).listUsers(options),
  );
  withBroker(
    user
      .command('set <name>')
      .description('make a user, or change one')
      .option('--new-password <text>', 'their password; `-`: the first line of stdin')
      .option('--tag <name...>', 'administrator: may ask for, and change, what is of others')
      .option('--no-tags', 'take all tags away'),
  ).action(async (name, options) => (await import('./user.ts')).setUser(name, options));
  withBroker(user.command('delete <name>').description('delete a user')).action(
    async (name, options) => (await import('./user.ts')).deleteUser(name, options),
  );
  withBroker(
    user
      .command('permit <name>')
      .description('let a user use a virtual host: all of it, unless something else is said')
      .option('--on <vhost>', 'which virtual host', '/')
      .option(
        '--configure <pattern>',
        'a regular expression over names: what may be made and deleted',
      )
      .option('--write <pattern>', 'what may be published to')
      .option('--read <pattern>', 'what may be consumed')
      .option('--nothing', 'nothing at all any more'),
  ).action(async (name, options) => (await import('./user.ts')).permitUser(name, options));
}

export function addVhost(program: Command): void {
  const vhost = program.command('vhost').description('virtual hosts, each with queues of its own');
  json(withBroker(vhost.command('list').description('list the virtual hosts'))).action(
    async (options) => (await import('./user.ts')).listVhosts(options),
  );
  withBroker(vhost.command('create <name>').description('make a virtual host')).action(
    async (name, options) => (await import('./user.ts')).createVhost(name, options),
  );
  withBroker(
    vhost
      .command('delete <name>')
      .description('delete a virtual host with all its queues, at once'),
  ).action(async (name, options) => (await import('./user.ts')).deleteVhost(name, options));
}
