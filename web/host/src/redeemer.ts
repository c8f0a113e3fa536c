/**
 * Remembers which assertions were used, so that each opens one session.
 *
 * Of all calls with one jti, on all servers of the host together, exactly one is answered true, and only once the jti is
 * stored durably. An insert under a unique key is enough; a read before a write is not. After expiresAt the jti may be
 * forgotten: the assertion is refused without it. Who throws says nothing about the jti, which may have been stored, and
 * nobody gets in on it.
 */
export interface Redeemer {
  redeem(jti: string, expiresAt: Date): Promise<boolean>;
}

/** How many assertions a memory redeemer holds at once: those of a little over a minute. */
export const maxRemembered = 1 << 17;

/**
 * A redeemer for a host that is one process: with several, an assertion could be used once in each. It forgets everything
 * at a restart, and otherwise only what has expired; 131072 assertions at once are all that it holds, and one more is an
 * error, as is one that has expired by its clock.
 *
 * @param now milliseconds since 1970
 */
export function memoryRedeemer(now: () => number = Date.now): Redeemer {
  const used = new Map<string, number>(); // jti: when it may be forgotten
  let sweepAt = 0; // how many there are when expired ones are next looked for
  return {
    async redeem(jti, expiresAt) {
      const at = now();
      const until = expiresAt.getTime();
      if (!(at < until)) {
        throw new Error('memory redeemer: already expired: the clocks differ');
      }
      if (used.has(jti)) {
        return false;
      }
      if (used.size >= sweepAt) {
        for (const [old, end] of used) {
          if (end <= at) {
            used.delete(old);
          }
        }
        sweepAt = Math.min(Math.max(1024, 2 * used.size), maxRemembered);
      }
      if (used.size >= maxRemembered) {
        throw new Error('memory redeemer: full');
      }
      used.set(jti, until);
      return true;
    },
  };
}
