import type { Preset } from '@nightlatch/components'

export type { Preset }

/** Whose words there are; see the policy's presets. */
export const presets = ['standard', 'mirox', 'miaxdx', 'midphase'] as const satisfies readonly Preset[]
