# Generated from the code by `python -m agent.reference`: do not edit; run `make docs`.
function __chequr_agent_at
    set -l at ""
    for word in (commandline -opc)[2..]
        switch "$at $word"
            case " run" " collect" " deliver" " status" " doctor" " support-bundle" " permissions" " audit-log" " verify" " sandbox" " demo" " outbox" " outbox list" " outbox show" " outbox retry" " outbox losses" " outbox discard" " outbox export" " ledger" " ledger verify" " ledger export" " ledger seal" " config" " config check" " config show" " config schema" " config example" " types" " types show" " controls" " controls list" " controls show" " controls coverage" " webhooks" " webhooks register" " webhooks verify" " webhooks list"
                set at "$at $word"
        end
    end
    test "$at" = "$argv[1]"
end
complete -c chequr-agent -n '__chequr_agent_at ""' -a 'run collect deliver status doctor support-bundle permissions audit-log verify sandbox demo outbox ledger config types controls webhooks --version --install-completion --show-completion --help'
complete -c chequr-agent -n '__chequr_agent_at " run"' -a '--config -c --verbose -v --help'
complete -c chequr-agent -n '__chequr_agent_at " collect"' -a '--config -c --type -t --dry-run --shard --no-deliver --wait --accept-gaps --metrics-file --pushgateway --json --verbose -v --help'
complete -c chequr-agent -n '__chequr_agent_at " deliver"' -a '--config -c --wait --metrics-file --pushgateway --json --verbose -v --help'
complete -c chequr-agent -n '__chequr_agent_at " status"' -a '--config -c --json --watch -w --help'
complete -c chequr-agent -n '__chequr_agent_at " doctor"' -a '--config -c --json --help'
complete -c chequr-agent -n '__chequr_agent_at " support-bundle"' -a '--config -c --list --output -o --help'
complete -c chequr-agent -n '__chequr_agent_at " permissions"' -a '--config -c --all --format --help'
complete -c chequr-agent -n '__chequr_agent_at " audit-log"' -a '--config -c --from --to --actor --help'
complete -c chequr-agent -n '__chequr_agent_at " verify"' -a '--config -c --since --repair --shared-key --json --help'
complete -c chequr-agent -n '__chequr_agent_at " sandbox"' -a '--host --port --token --rate --fault --state --controls --help'
complete -c chequr-agent -n '__chequr_agent_at " demo"' -a '--keep --help'
complete -c chequr-agent -n '__chequr_agent_at " outbox"' -a 'list show retry losses discard export --help'
complete -c chequr-agent -n '__chequr_agent_at " outbox list"' -a '--config -c --state --limit --json --help'
complete -c chequr-agent -n '__chequr_agent_at " outbox show"' -a '--config -c --json --help'
complete -c chequr-agent -n '__chequr_agent_at " outbox retry"' -a '--config -c --new-key --help'
complete -c chequr-agent -n '__chequr_agent_at " outbox losses"' -a '--config -c --json --help'
complete -c chequr-agent -n '__chequr_agent_at " outbox discard"' -a '--config -c --yes -y --help'
complete -c chequr-agent -n '__chequr_agent_at " outbox export"' -a '--config -c --help'
complete -c chequr-agent -n '__chequr_agent_at " ledger"' -a 'verify export seal --help'
complete -c chequr-agent -n '__chequr_agent_at " ledger verify"' -a '--config -c --archive --public-key --json --help'
complete -c chequr-agent -n '__chequr_agent_at " ledger export"' -a '--config -c --from --to --output -o --help'
complete -c chequr-agent -n '__chequr_agent_at " ledger seal"' -a '--config -c --help'
complete -c chequr-agent -n '__chequr_agent_at " config"' -a 'check show schema example --help'
complete -c chequr-agent -n '__chequr_agent_at " config check"' -a '--config -c --json --help'
complete -c chequr-agent -n '__chequr_agent_at " config show"' -a '--config -c --json --help'
complete -c chequr-agent -n '__chequr_agent_at " config schema"' -a '--help'
complete -c chequr-agent -n '__chequr_agent_at " config example"' -a '--help'
complete -c chequr-agent -n '__chequr_agent_at " types"' -a 'show --config -c --json --help'
complete -c chequr-agent -n '__chequr_agent_at " types show"' -a '--config -c --json --help'
complete -c chequr-agent -n '__chequr_agent_at " controls"' -a 'list show coverage --help'
complete -c chequr-agent -n '__chequr_agent_at " controls list"' -a '--config -c --framework --status --json --help'
complete -c chequr-agent -n '__chequr_agent_at " controls show"' -a '--config -c --json --help'
complete -c chequr-agent -n '__chequr_agent_at " controls coverage"' -a '--config -c --json --help'
complete -c chequr-agent -n '__chequr_agent_at " webhooks"' -a 'register verify list --help'
complete -c chequr-agent -n '__chequr_agent_at " webhooks register"' -a '--config -c --event --help'
complete -c chequr-agent -n '__chequr_agent_at " webhooks verify"' -a '--config -c --signature --at --json --help'
complete -c chequr-agent -n '__chequr_agent_at " webhooks list"' -a '--config -c --json --help'
