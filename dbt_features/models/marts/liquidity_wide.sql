{{ config(materialized='table', contract={'enforced': false}, post_hook="{{ comment_tickers(ref('liquidity')) }}") }}
{{ wide(ref('liquidity')) }}
