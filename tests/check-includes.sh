#!/bin/sh
# check-includes.sh ROOT: who includes whom. Arrows run one way:
#   plugin, tools, tests -> models.c's table, src -> src/layer.h <- models
# SPDX-License-Identifier: LGPL-2.1-or-later
cd "$1" || exit 1
bad=0

# forbid FOLDER PATTERN WHY: no file of the folder may include what matches
forbid () {
  found=$(grep -rnE "#include [<\"]($2)" "$1" --include='*.[ch]')
  if [ -n "$found" ]; then
    printf '%s\n%s\n' "$3:" "$found"
    bad=1
  fi
}

forbid src '(models|plugin|tools|tests|gst)/' \
  'src/ knows neither models, elements nor GStreamer'
forbid models '(plugin|tools|tests|gst)/' \
  'models/ knows neither elements nor GStreamer'
forbid models 'src/(chain|model|live|adam|io|train)' \
  'models/ includes only src/layer.h, src/cpu.h and src/simd/'
forbid plugin '(src/(simd|layer|chain|live/learner)|models/|tools/|tests/)' \
  'plugin/ sees models and streams, not layers and kernels'
forbid tools '(src/simd|plugin/|tests/)' 'tools/ uses no kernels'
# from the repository root, so that each line names the floor it reaches into
relative=$(grep -rnE '#include "[^/"]+"' plugin src models tools tests bench \
  --include='*.[ch]' | grep -vE '"(config\.h|[a-z]+\.pb-c\.h)"')
if [ -n "$relative" ]; then
  printf 'includes are written from the repository root:\n%s\n' "$relative"
  bad=1
fi
exit $bad
