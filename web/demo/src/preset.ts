import type { Policy } from '@nightlatch/client'
import type { Preset } from '@nightlatch/components'

export const presets: readonly Preset[] = ['standard', 'mirox', 'miaxdx', 'midphase']

/** Whose words suit a policy: those of the preset that it is, or is most like. */
export function presetOf(policy: Pick<Policy, 'backup_use' | 'enforcement'> | undefined): Preset {
  switch (policy?.backup_use) {
    case 'disable_2fa': return 'mirox'
    case 'require_manual_new': return 'midphase'
    default: return policy?.enforcement === 'required' ? 'miaxdx' : 'standard'
  }
}
