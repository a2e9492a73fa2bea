/** Which broker of queues a command talks to, as whom, and for how long. */
import { type AmqpAddress, DEFAULT_AMQP, parseAmqpAddress } from '../client/amqp/amqp-address.ts';
import { type AmqpClient, connectAmqp } from '../client/amqp/client.ts';
import { amqpReply } from '../client/amqp/refusal.ts';
import type { Env } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import { realEnv } from '../core/real-env.ts';

export interface AmqpOptions {
  readonly amqp?: string;
  readonly user?: string;
  readonly password?: string;
  readonly vhost?: string;
  readonly json?: boolean;
}

/**
 * Opens a connection for the length of one call: `--amqp`, else MILLRACE_AMQP, else the default port on this machine.
 * @throws {MillraceError} ML_USAGE, ML_CONNECT_FAILED, ML_AMQP_REFUSED
 */
export async function withAmqp<Result>(
  options: AmqpOptions,
  work: (client: AmqpClient) => Promise<Result>,
  env: Env = realEnv(),
): Promise<Result> {
  const text = options.amqp ?? process.env['MILLRACE_AMQP'] ?? DEFAULT_AMQP;
  const address = parseAmqpAddress(text, options);
  const client = await connectAmqp(env, { ...address, label: 'millrace command' }).catch(
    (error: unknown) => {
      throw ofLogin(error, address);
    },
  );
  try {
    return await work(client);
  } catch (error) {
    throw ofRights(error, address.user);
  } finally {
    await client.close();
  }
}

function ofLogin(error: unknown, { user, vhost }: AmqpAddress): unknown {
  if (!(error instanceof MillraceError)) return error;
  if (error.code === 'ML_CONNECTION_LOST')
    return withHint(
      error,
      'Something else may listen there: name the address that `millrace start` has told (amqp) with --amqp',
    );
  if (amqpReply(error) === 'NOT_ALLOWED')
    return withHint(
      error,
      `\`millrace vhost list\` shows which there are, \`millrace vhost create '${vhost}'\` makes it, \`millrace user permit ${user} --on '${vhost}'\` lets ${user} use it`,
    );
  if (amqpReply(error) !== 'ACCESS_REFUSED') return error;
  return withHint(
    error,
    user === 'guest'
      ? 'guest may come from the machine of the broker only, and has the password guest unless it was given another: log in with --user and --password, or with --amqp amqp://user:password@host'
      : `Check --user and --password; \`millrace user set ${user} --new-password -\` gives ${user} another password`,
  );
}

function ofRights(error: unknown, user: string): unknown {
  if (!(error instanceof MillraceError) || error.code !== 'ML_AMQP_REFUSED') return error;
  if (error.fields['reply'] === 'NOT_FOUND')
    return withHint(
      error,
      '`millrace user list`, `millrace vhost list` and `millrace queue list` show which there are',
    );
  if (error.fields['reply'] !== 'ACCESS_REFUSED') return error;
  if (error.message.includes('reserved prefix'))
    return withHint(error, "Choose a name that does not begin with 'amq.'");
  return withHint(
    error,
    `\`millrace user permit ${user}\` lets ${user} use a virtual host; what is of others needs the tag administrator: \`millrace user set ${user} --tag administrator\``,
  );
}

function withHint(error: MillraceError, hint: string): MillraceError {
  return new MillraceError(error.code, error.message, {
    cause: error,
    fields: error.fields,
    hint,
  });
}
