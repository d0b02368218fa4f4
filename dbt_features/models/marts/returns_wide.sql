{{ config(materialized='table', contract={'enforced': false}, post_hook="{{ comment_tickers(ref('returns')) }}") }}
{{ wide(ref('returns')) }}
