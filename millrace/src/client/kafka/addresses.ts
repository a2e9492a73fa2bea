/** The addresses of brokers, as people write them. */
import { MillraceError } from '../../core/errors.ts';
import type { Address } from './connection.ts';

export const DEFAULT_BROKERS = '127.0.0.1:9092';

/**
 * `host:port`, several of them with commas between; IPv6 addresses in brackets.
 * @throws {MillraceError} ML_USAGE
 */
export function parseAddresses(text: string): Address[] {
  return text.split(',').map((each) => {
    const match = /^(?:\[([0-9a-fA-F:]+)\]|([^\s:]+)):(\d{1,5})$/.exec(each.trim());
    const host = match?.[1] ?? match?.[2];
    const port = Number(match?.[3]);
    if (host === undefined || port < 1 || port > 65_535) {
      throw new MillraceError('ML_USAGE', `'${each.trim()}' is not a broker address`, {
        hint: 'Write host:port, for example --brokers 127.0.0.1:9092',
      });
    }
    return { host, port };
  });
}
