# Completions of kiln(1) for fish.

# Whether the command is one of these. `kiln explain run` counts as "explain-run", `kiln daemon logs` as "daemon-logs".
function __kiln_command_is
    set -l words (commandline -opc)
    set -l command $words[2]
    test "$command $words[3]" = 'explain run'; and set command explain-run
    test "$command $words[3]" = 'daemon logs'; and set command daemon-logs
    contains -- "$command" $argv
end

# Whether no program was named yet: what follows it is its own.
function __kiln_before_program
    __kiln_command_is $argv; or return 1
    set -l words (commandline -opc)
    set -l at 3
    __kiln_command_is explain-run; and set at 4
    while test $at -le (count $words)
        switch $words[$at]
            case --timing --json
            case --python
                set at (math $at + 1)
            case '*'
                return 1
        end
        set at (math $at + 1)
    end
end

function __kiln_has_words
    test (count (commandline -opc)) -eq $argv[1]
end

function __kiln_interpreters
    for path in $PATH/python* $PATH/pypy*  # unlike elsewhere, patterns may match nothing here
        string match -r '[^/]*$' -- $path
    end | string match -r '^(?:python|pypy)[0-9.]*$' | sort -u
    __fish_complete_path (commandline -ct)
end

complete -c kiln -f
complete -c kiln -n __fish_is_first_token -s V -l version -d 'Version of this program'
complete -c kiln -n __fish_is_first_token -s h -l help -d 'The commands'

complete -c kiln -n __fish_is_first_token -a run -d 'Run a program as python would, warm'
complete -c kiln -n __fish_is_first_token -a x -d 'Run a program that is written in Python, warm'
complete -c kiln -n __fish_is_first_token -a warm -d 'Have a program run ahead before it is run'
complete -c kiln -n __fish_is_first_token -a shell-init -d 'Have new terminals warm what is run most often'
complete -c kiln -n __fish_is_first_token -a precompile -d 'Compile files and directories to bytecode'
complete -c kiln -n __fish_is_first_token -a list -d 'The bytecode files that Kiln knows of'
complete -c kiln -n __fish_is_first_token -a explain -d 'Why bytecode is as it is, and who imports it'
complete -c kiln -n __fish_is_first_token -a clean -d 'Remove bytecode of no use, or all'
complete -c kiln -n __fish_is_first_token -a gc -d 'Shrink the store to its limit'
complete -c kiln -n __fish_is_first_token -a watch -d 'Keep directories compiled from now on'
complete -c kiln -n __fish_is_first_token -a unwatch -d 'Watch directories no longer'
complete -c kiln -n __fish_is_first_token -a inspect -d 'Show what bytecode files hold'
complete -c kiln -n __fish_is_first_token -a status -d 'Daemon, images, cache, interpreters'
complete -c kiln -n __fish_is_first_token -a stats -d 'How many runs were served'
complete -c kiln -n __fish_is_first_token -a doctor -d 'What is wrong with Kiln here'
complete -c kiln -n __fish_is_first_token -a config -d 'Every setting and its origin'
complete -c kiln -n __fish_is_first_token -a daemon -d 'Start, stop, restart, run the daemon; its logs'

complete -c kiln -n '__kiln_command_is precompile watch unwatch list explain clean inspect status stats doctor config daemon daemon-logs gc shell-init' -s h -l help -d 'The options'

# Programs
complete -c kiln -n '__kiln_before_program run' -l timing -d 'Tell where the milliseconds went'
complete -c kiln -n '__kiln_before_program warm explain-run' -l json -d 'One JSON document'
complete -c kiln -n '__kiln_before_program warm' -l most-used -d 'The programs that are run most often'
complete -c kiln -n '__kiln_before_program warm' -l quiet -d 'Tell nothing'
complete -c kiln -n '__kiln_before_program run warm explain-run' -l python -x -a '(__kiln_interpreters)' -d 'The interpreter'
complete -c kiln -n '__kiln_before_program run warm explain-run' -s h -l help -d 'The options'
complete -c kiln -n '__kiln_command_is run warm explain-run' -F
complete -c kiln -n '__kiln_command_is x; and __kiln_has_words 2' -s h -l help -d 'The options'
complete -c kiln -n '__kiln_command_is x; and __kiln_has_words 2' -a '(__fish_complete_command)'
complete -c kiln -n '__kiln_command_is x; and not __kiln_has_words 2' -F

# Bytecode
complete -c kiln -n '__kiln_command_is precompile' -l python -x -a '(__kiln_interpreters)' -d 'An interpreter whose bytecode is wanted'
complete -c kiln -n '__kiln_command_is precompile' -s j -l jobs -x -d 'Compile this many files at once'
complete -c kiln -n '__kiln_command_is precompile' -s o -x -a '0 1 2' -d 'Optimization level'
complete -c kiln -n '__kiln_command_is precompile' -l invalidation-mode -x -a 'timestamp checked-hash unchecked-hash' -d 'How Python tells that it is stale'
complete -c kiln -n '__kiln_command_is precompile' -l legacy -d 'Write NAME.pyc beside the source'
complete -c kiln -n '__kiln_command_is precompile' -l exclude -x -d 'Leave out what matches'
complete -c kiln -n '__kiln_command_is precompile' -l force -d 'Compile what is fresh, too'
complete -c kiln -n '__kiln_command_is precompile' -l check -d 'Write nothing, name what is missing or stale'
complete -c kiln -n '__kiln_command_is precompile' -s q -l quiet -d 'Print errors only'
complete -c kiln -n '__kiln_command_is list' -l state -x -a 'fresh stale error orphan' -d 'Only these'
complete -c kiln -n '__kiln_command_is list' -l python -x -a '(__kiln_interpreters)' -d 'Only those of this interpreter'
complete -c kiln -n '__kiln_command_is list' -l sort -x -a 'path state size time cost' -d 'What comes first'
complete -c kiln -n '__kiln_command_is list' -l limit -x -d 'Only the first N'
complete -c kiln -n '__kiln_command_is clean' -l orphans -d 'Bytecode whose source is gone'
complete -c kiln -n '__kiln_command_is clean' -l all -d 'End the daemon, remove the cache'
complete -c kiln -n '__kiln_command_is clean' -l dry-run -d 'Only tell what would go'
complete -c kiln -n '__kiln_command_is gc' -l limit -x -d 'Of the store'
complete -c kiln -n '__kiln_command_is inspect' -l dis -d 'Disassemble it'
complete -c kiln -n '__kiln_command_is explain; and __kiln_has_words 2' -a run -d 'How a run would start'
complete -c kiln -n '__kiln_command_is precompile list explain clean gc inspect config' -F

# Watching
complete -c kiln -n '__kiln_command_is watch' -l policy -x -a 'imported all' -d 'What is kept compiled'
complete -c kiln -n '__kiln_command_is watch' -l python -x -a '(__kiln_interpreters)' -d 'With the policy all, an interpreter'
complete -c kiln -n '__kiln_command_is watch' -l follow -d 'Print what is compiled by itself'
complete -c kiln -n '__kiln_command_is watch unwatch' -x -a '(__fish_complete_directories (commandline -ct))'

# Knowing
complete -c kiln -n '__kiln_command_is precompile list explain gc inspect status stats doctor config daemon-logs' -l json -d 'One JSON document'
complete -c kiln -n '__kiln_command_is stats' -l reset -d 'Count from zero from now on'
complete -c kiln -n '__kiln_command_is config' -l path -d 'The files that are read'
complete -c kiln -n '__kiln_command_is config' -l describe -d 'All keys, in the form of a kiln.toml'
complete -c kiln -n '__kiln_command_is daemon; and __kiln_has_words 2' -a 'start stop restart reload run logs'
complete -c kiln -n '__kiln_command_is shell-init; and __kiln_has_words 2' -a 'bash zsh fish'
complete -c kiln -n '__kiln_command_is daemon-logs' -s n -l lines -x -d 'Only the last N lines'
complete -c kiln -n '__kiln_command_is daemon-logs' -s f -l follow -d 'Then what is added'
