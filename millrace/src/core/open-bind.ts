/** Who may reach what listens. There is no authentication: so, by itself, nobody from another machine. */
import { MillraceError } from './errors.ts';

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|::1|\[::1\]|::ffff:127(?:\.\d{1,3}){3})$/i;

/** Whether only this machine reaches the host. */
export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host);
}

/** @throws {MillraceError} ML_INSECURE_BIND for an address that others can reach */
export function refuseOpenBind(host: string): void {
  if (isLoopback(host)) return;
  throw new MillraceError(
    'ML_INSECURE_BIND',
    `listening on ${host} would let everybody who reaches it read and write: there is no authentication`,
    { fields: { host } },
  );
}

/** As `refuseOpenBind`, for what knows its users: their passwords would be seen. @throws {MillraceError} ML_INSECURE_BIND */
export function refuseUnencryptedBind(host: string): void {
  if (isLoopback(host)) return;
  throw new MillraceError(
    'ML_INSECURE_BIND',
    `listening on ${host} would send passwords and messages for all to see: there is no encryption`,
    { fields: { host } },
  );
}
