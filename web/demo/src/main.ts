import './lab.css'

import './panels/application.ts'
import './panels/attacks.ts'
import './panels/desk.ts'
import './panels/host.ts'
import './panels/inbox.ts'
import './panels/item.ts'
import './panels/phone.ts'
import './panels/sections.ts'
import './panels/top.ts'
import './panels/tour.ts'
import './panels/traffic.ts'
import { lab } from './lab.ts'

void lab.start()
