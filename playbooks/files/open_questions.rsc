# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Asks a router what only a real one can answer. It reads, changes nothing, and prints no id,
# no name, no address and no secret: kinds of values, names of arguments, numbers.
:local ask do={
  :do {
    :local code [:parse $2]
    :local answer [$code]
    :put ($1 . ": " . [:tostr $answer])
  } on-error={ :put ($1 . ": no answer") }
}
$ask "RouterOS" ":return [/system resource get version]"
$ask "processor" ":return [/system resource get architecture-name]"
$ask "kind of uptime" ":return [:typeof [/system resource get uptime]]"
$ask "kind of gmt-offset" ":return [:typeof [/system clock get gmt-offset]]"
$ask "kind of the size of files" ":local kind \"no files\"\n:foreach i in=[/file find] do={ :set kind [:typeof [/file get \$i size]] }\n:return \$kind"
$ask "as-value has the flag disabled" ":local kind \"no interface\"\n:foreach i in=[/interface print as-value] do={ :set kind [:typeof (\$i->\"disabled\")] }\n:return \$kind"
$ask "as-value has the flag running" ":local kind \"no interface\"\n:foreach i in=[/interface print as-value] do={ :set kind [:typeof (\$i->\"running\")] }\n:return \$kind"
$ask "as-value has the counter rx-byte" ":local kind \"no interface\"\n:foreach i in=[/interface print as-value] do={ :set kind [:typeof (\$i->\"rx-byte\")] }\n:return \$kind"
$ask "words of renew" ":local words \"\"\n:foreach i in=[/console inspect as-value request=child path=system,license,renew] do={ :set words (\$words . \" \" . (\$i->\"name\")) }\n:return \$words"
$ask "words of generate-new-id" ":local words \"\"\n:foreach i in=[/console inspect as-value request=child path=system,license,generate-new-id] do={ :set words (\$words . \" \" . (\$i->\"name\")) }\n:return \$words"
$ask "words of device-mode" ":local words \"\"\n:foreach k,v in=[/system device-mode print as-value] do={ :set words (\$words . \" \" . \$k) }\n:return \$words"
$ask "status of packages" ":return [/system package update get status]"
$ask "a script may set passwords" ":onerror e in={ /user set [find where name=\"outofband-nobody-has-this-name\"] password=\"\" } do={ :return \$e }\n:return \"yes, or nobody was to be changed\""
$ask "base64" ":return [:convert to=base64 \"abc\"]"
$ask "json" ":return [:serialize to=json {\"a\"=1}]"
:local long "0123456789abcdef"
:for i from=1 to=12 do={ :set long ($long . $long) }
:put ("long line: " . $long)
:put "end of the questions"
