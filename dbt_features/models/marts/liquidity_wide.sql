{{ config(on_schema_change='sync_all_columns', contract={'enforced': false}, post_hook="{{ comment_tickers(ref('liquidity')) }}") }}
{{ wide(ref('liquidity')) }}
