#!/usr/bin/env bash
# Prints the name that is most like WORD, by letters to change, add or drop; nothing if none is near.
#
#   nearest.sh WORD NAME…
set -euo pipefail

printf '%s\n' "$@" | awk '
    function least(a, b, c) { return a < b ? (a < c ? a : c) : (b < c ? b : c) }
    function distance(a, b,    i, j, row, above) {
        for (j = 0; j <= length(b); j++) above[j] = j
        for (i = 1; i <= length(a); i++) {
            row[0] = i
            for (j = 1; j <= length(b); j++)
                row[j] = least(above[j] + 1, row[j - 1] + 1, \
                    above[j - 1] + (substr(a, i, 1) != substr(b, j, 1)))
            for (j in row) above[j] = row[j]
        }
        return above[length(b)]
    }
    NR == 1 { word = $0; nearest = length(word) / 3; next }
    { far = distance(toupper(word), $0) }
    far <= nearest { nearest = far; name = $0 }
    END { print name }'
